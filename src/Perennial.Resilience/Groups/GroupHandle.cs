using System.Runtime.InteropServices;
using System.Text;

namespace Perennial.Resilience.Groups;

/// <summary>Owns the native group. It is freed only when no call is in flight: the counted references of a safe handle see to that.</summary>
internal sealed unsafe class GroupHandle : SafeHandle
{
    private readonly GlooLibrary library;
    private int busy;

    public GroupHandle(GlooLibrary library, int rank, int size) : base(0, ownsHandle: true)
    {
        this.library = library;
        SetHandle(library.Create(rank, size));
        if (IsInvalid) throw new InvalidOperationException($"no group: {Marshal.PtrToStringUTF8((nint)library.ErrorMessage())}");
    }

    public override bool IsInvalid => handle == 0;

    /// <summary>The native address, good between <see cref="TryEnter"/> and <see cref="Exit"/>.</summary>
    public nint Address => handle;

    /// <summary>True while a call is in flight.</summary>
    public bool IsBusy => Volatile.Read(ref busy) > 0;

    /// <summary>Begins a call; false when the handle is closed.</summary>
    public bool TryEnter()
    {
        try
        {
            var added = false;
            DangerousAddRef(ref added);
            Interlocked.Increment(ref busy);
            return added;
        }
        catch (ObjectDisposedException)
        {
            return false;
        }
    }

    /// <summary>Ends a call.</summary>
    public void Exit()
    {
        Interlocked.Decrement(ref busy);
        DangerousRelease();
    }

    /// <summary>Breaks the group from any thread; nothing happens when it is closed.</summary>
    public void Abort(string reason)
    {
        if (!TryEnter()) return;
        try
        {
            fixed (byte* text = Encoding.UTF8.GetBytes(reason + '\0')) library.Abort(handle, text);
        }
        finally
        {
            Exit();
        }
    }

    protected override bool ReleaseHandle()
    {
        library.Free(handle);
        return true;
    }
}
