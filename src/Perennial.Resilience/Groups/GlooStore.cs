using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using Perennial.Resilience.Membership;

namespace Perennial.Resilience.Groups;

/// <summary>Lets native code publish and await addresses through a managed store. No exception crosses: the first is kept and rethrown here.</summary>
internal sealed unsafe class GlooStore(IKeyValueStore store, CancellationToken cancellation) : IDisposable
{
    private GCHandle self;
    private Exception? error;

    public static delegate* unmanaged<nint, byte*, byte*, long, int> SetCallback => &Set;

    public static delegate* unmanaged<nint, byte*, byte*, long, long, long> GetCallback => &Get;

    /// <summary>What native code hands back to the callbacks.</summary>
    public nint Address => GCHandle.ToIntPtr(self.IsAllocated ? self : self = GCHandle.Alloc(this));

    /// <summary>Throws what the store threw during a callback, if anything.</summary>
    public void Rethrow()
    {
        if (error is not null and not TimeoutException) ExceptionDispatchInfo.Throw(error);
    }

    public void Dispose()
    {
        if (self.IsAllocated) self.Free();
    }

    [UnmanagedCallersOnly]
    private static int Set(nint user, byte* key, byte* data, long size)
    {
        var self = (GlooStore)GCHandle.FromIntPtr(user).Target!;
        try
        {
            self.Publish(Marshal.PtrToStringUTF8((nint)key)!, new ReadOnlySpan<byte>(data, checked((int)size)));
            return 0;
        }
        catch (Exception thrown)
        {
            self.error ??= thrown;
            return -1;
        }
    }

    [UnmanagedCallersOnly]
    private static long Get(nint user, byte* key, byte* data, long capacity, long milliseconds)
    {
        var self = (GlooStore)GCHandle.FromIntPtr(user).Target!;
        try
        {
            var value = self.Await(Marshal.PtrToStringUTF8((nint)key)!, TimeSpan.FromMilliseconds(milliseconds));
            if (value.Length > capacity) return -4;
            value.CopyTo(new Span<byte>(data, value.Length));
            return value.Length;
        }
        catch (Exception thrown)
        {
            self.error ??= thrown;
            return thrown is TimeoutException ? -2 : -1;
        }
    }

    private void Publish(string key, ReadOnlySpan<byte> value) => store.Set(key, value);

    private byte[] Await(string key, TimeSpan timeout) => store.Wait(key, timeout, cancellation);
}
