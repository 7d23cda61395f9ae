using System.Runtime.InteropServices;
using Perennial.Core;

namespace Perennial.Resilience.Groups;

/// <summary>
/// The native functions of <c>libperennial_gloo.so</c> (native/, built beside the program where g++ and libgloo-dev are present).
/// It is opened with its own symbols first (RTLD_DEEPBIND): libtorch exports another Gloo with the same names.
/// </summary>
public sealed unsafe class GlooLibrary
{
    private const string FileName = "libperennial_gloo.so";
    private const int Version = 1, Now = 2, DeepBind = 8;
    private const string Cure =
        "groups of several processes need Gloo: run `sudo apt-get install -y libgloo-dev g++ cmake ninja-build`; the next ./perennial build picks it up";

    private static readonly Lazy<GlooLibrary> Shared = new(() => Open(Path.Combine(AppContext.BaseDirectory, FileName)));

    internal readonly delegate* unmanaged<byte*> ErrorMessage;
    internal readonly delegate* unmanaged<int> ErrorPeer;
    internal readonly delegate* unmanaged<int, int, nint> Create;
    internal readonly delegate* unmanaged<nint, byte*, byte*, long, nint, delegate* unmanaged<nint, byte*, byte*, long, int>,
        delegate* unmanaged<nint, byte*, byte*, long, long, long>, int> Connect;
    internal readonly delegate* unmanaged<nint, void> Free;
    internal readonly delegate* unmanaged<nint, byte*, void> Abort;
    internal readonly delegate* unmanaged<nint, int, byte*> Host;
    internal readonly delegate* unmanaged<nint, nint, long, int, int, int, uint, long, int> AllReduce;
    internal readonly delegate* unmanaged<nint, nint, nint, long*, int, int, uint, long, int> ReduceScatter;
    internal readonly delegate* unmanaged<nint, nint, nint, long*, uint, long, int> AllGather;
    internal readonly delegate* unmanaged<nint, nint, long, int, uint, long, int> Broadcast;
    internal readonly delegate* unmanaged<nint, nint, long, int, uint, long, int> Send;
    internal readonly delegate* unmanaged<nint, nint, long, int, uint, long, int> Receive;
    internal readonly delegate* unmanaged<nint, uint, long, int> Barrier;

    private GlooLibrary(nint library)
    {
        nint Symbol(string name) => NativeLibrary.GetExport(library, name);
        ErrorMessage = (delegate* unmanaged<byte*>)Symbol("pg_error_message");
        ErrorPeer = (delegate* unmanaged<int>)Symbol("pg_error_peer");
        Create = (delegate* unmanaged<int, int, nint>)Symbol("pg_create");
        Connect = (delegate* unmanaged<nint, byte*, byte*, long, nint, delegate* unmanaged<nint, byte*, byte*, long, int>,
            delegate* unmanaged<nint, byte*, byte*, long, long, long>, int>)Symbol("pg_connect");
        Free = (delegate* unmanaged<nint, void>)Symbol("pg_free");
        Abort = (delegate* unmanaged<nint, byte*, void>)Symbol("pg_abort");
        Host = (delegate* unmanaged<nint, int, byte*>)Symbol("pg_host");
        AllReduce = (delegate* unmanaged<nint, nint, long, int, int, int, uint, long, int>)Symbol("pg_all_reduce");
        ReduceScatter = (delegate* unmanaged<nint, nint, nint, long*, int, int, uint, long, int>)Symbol("pg_reduce_scatter");
        AllGather = (delegate* unmanaged<nint, nint, nint, long*, uint, long, int>)Symbol("pg_all_gather");
        Broadcast = (delegate* unmanaged<nint, nint, long, int, uint, long, int>)Symbol("pg_broadcast");
        Send = (delegate* unmanaged<nint, nint, long, int, uint, long, int>)Symbol("pg_send");
        Receive = (delegate* unmanaged<nint, nint, long, int, uint, long, int>)Symbol("pg_receive");
        Barrier = (delegate* unmanaged<nint, uint, long, int>)Symbol("pg_barrier");
    }

    /// <summary>The library beside the program, opened once.</summary>
    /// <exception cref="PerennialException">Exit 4: it is absent or cannot be opened; the message says what to install.</exception>
    public static GlooLibrary Load() => Shared.Value;

    /// <summary>Null where <see cref="Load"/> succeeds, or else its message (for <c>doctor</c> and for skipped tests).</summary>
    public static string? WhyMissing()
    {
        try
        {
            Load();
            return null;
        }
        catch (PerennialException error)
        {
            return error.Message;
        }
    }

    /// <summary>Opens the library at a path.</summary>
    /// <exception cref="PerennialException">Exit 4: it is absent or cannot be opened; the message says what to install.</exception>
    public static GlooLibrary Open(string path)
    {
        if (!OperatingSystem.IsLinux()) throw PerennialException.Missing("groups of several processes over Gloo need Linux");
        if (!File.Exists(path)) throw PerennialException.Missing($"{path} is not there; {Cure}");
        var library = DlOpen(path, Now | DeepBind);
        if (library == 0) throw PerennialException.Missing($"{path} does not load ({Marshal.PtrToStringUTF8(DlError())}); {Cure}");
        if (!NativeLibrary.TryGetExport(library, "pg_version", out var version) || ((delegate* unmanaged<int>)version)() != Version)
            throw PerennialException.Missing($"{path} was built from other sources; delete it and run ./perennial again");
        return new GlooLibrary(library);
    }

    [DllImport("libc", EntryPoint = "dlopen")]
    private static extern nint DlOpen([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags);

    [DllImport("libc", EntryPoint = "dlerror")]
    private static extern nint DlError();
}
