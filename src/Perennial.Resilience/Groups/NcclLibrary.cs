using System.Runtime.InteropServices;
using Perennial.Core;

namespace Perennial.Resilience.Groups;

/// <summary>NCCL's settings of one communicator, as its version 2.18 lays them out; later versions read the size and fill in the rest.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NcclConfig
{
    private const int Undefined = int.MinValue;

    public nuint Size;
    public uint Magic;
    public uint Version;
    public int Blocking;
    public int ClusterSize;
    public int LeastBlocks;
    public int MostBlocks;
    public nint NetworkName;
    public int SplitShares;

    /// <summary>Calls return at once and are polled, which is what makes timeouts and aborts possible.</summary>
    public static unsafe NcclConfig NonBlocking => new()
    {
        Size = (nuint)sizeof(NcclConfig), Magic = 0xcafebeef, Version = 21805, Blocking = 0,
        ClusterSize = Undefined, LeastBlocks = Undefined, MostBlocks = Undefined, SplitShares = Undefined,
    };
}

/// <summary>The name of a group before it exists: 128 bytes that rank 0 makes and all must have.</summary>
[StructLayout(LayoutKind.Sequential, Size = Length)]
internal struct NcclUniqueId
{
    public const int Length = 128;
}

/// <summary>The functions of <c>libnccl.so.2</c> and of the CUDA runtime that a group of GPUs needs, opened where they are installed.</summary>
public sealed unsafe class NcclLibrary
{
    private static readonly string[] NcclNames = ["libnccl.so.2", "libnccl.so"];
    private static readonly string[] CudaNames = ["libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0", "libcudart.so"];
    private static readonly Lazy<NcclLibrary> Shared = new(() => Open(NcclNames, CudaNames));

    internal readonly delegate* unmanaged<NcclUniqueId*, int> GetUniqueId;
    internal readonly delegate* unmanaged<nint*, int, NcclUniqueId, int, NcclConfig*, int> InitRankConfig;
    internal readonly delegate* unmanaged<nint, int*, int> GetAsyncError;
    internal readonly delegate* unmanaged<int, byte*> GetErrorString;
    internal readonly delegate* unmanaged<nint, int> Abort;
    internal readonly delegate* unmanaged<nint, int, int, nint*, NcclConfig*, int> Split;
    internal readonly delegate* unmanaged<nint, int*, int, nint*, NcclConfig*, int, int> Shrink;
    internal readonly delegate* unmanaged<nint, nint, nuint, int, int, nint, nint, int> AllReduce;
    internal readonly delegate* unmanaged<nint, nint, nuint, int, int, int, nint, nint, int> Reduce;
    internal readonly delegate* unmanaged<nint, nint, nuint, int, int, nint, nint, int> Broadcast;
    internal readonly delegate* unmanaged<nint, nuint, int, int, nint, nint, int> Send;
    internal readonly delegate* unmanaged<nint, nuint, int, int, nint, nint, int> Receive;
    internal readonly delegate* unmanaged<int> GroupStart;
    internal readonly delegate* unmanaged<int> GroupEnd;
    internal readonly delegate* unmanaged<int, int> SetDevice;
    internal readonly delegate* unmanaged<nint*, uint, int> StreamCreate;
    internal readonly delegate* unmanaged<nint, int> StreamQuery;
    internal readonly delegate* unmanaged<nint, int> StreamDestroy;
    internal readonly delegate* unmanaged<nint, int> StreamSynchronize;
    internal readonly delegate* unmanaged<nint*, nuint, nint, int> Allocate;
    internal readonly delegate* unmanaged<nint, nint, int> Release;
    internal readonly delegate* unmanaged<nint, nint, nuint, int, nint, int> Copy;
    internal readonly delegate* unmanaged<nint, nint, int> PointerAttributes;
    private readonly delegate* unmanaged<int*, int> countDevices;
    private readonly delegate* unmanaged<int*, int> getVersion;

    private NcclLibrary(nint nccl, nint cuda)
    {
        nint Nccl(string name) => NativeLibrary.GetExport(nccl, "nccl" + name);
        nint Cuda(string name) => NativeLibrary.GetExport(cuda, "cuda" + name);
        GetUniqueId = (delegate* unmanaged<NcclUniqueId*, int>)Nccl("GetUniqueId");
        InitRankConfig = (delegate* unmanaged<nint*, int, NcclUniqueId, int, NcclConfig*, int>)Nccl("CommInitRankConfig");
        GetAsyncError = (delegate* unmanaged<nint, int*, int>)Nccl("CommGetAsyncError");
        GetErrorString = (delegate* unmanaged<int, byte*>)Nccl("GetErrorString");
        Abort = (delegate* unmanaged<nint, int>)Nccl("CommAbort");
        Split = (delegate* unmanaged<nint, int, int, nint*, NcclConfig*, int>)Nccl("CommSplit");
        // Shrink came with 2.27; null says that a new group must be made instead.
        if (NativeLibrary.TryGetExport(nccl, "ncclCommShrink", out var shrink)) Shrink = (delegate* unmanaged<nint, int*, int, nint*, NcclConfig*, int, int>)shrink;
        AllReduce = (delegate* unmanaged<nint, nint, nuint, int, int, nint, nint, int>)Nccl("AllReduce");
        Reduce = (delegate* unmanaged<nint, nint, nuint, int, int, int, nint, nint, int>)Nccl("Reduce");
        Broadcast = (delegate* unmanaged<nint, nint, nuint, int, int, nint, nint, int>)Nccl("Broadcast");
        Send = (delegate* unmanaged<nint, nuint, int, int, nint, nint, int>)Nccl("Send");
        Receive = (delegate* unmanaged<nint, nuint, int, int, nint, nint, int>)Nccl("Recv");
        GroupStart = (delegate* unmanaged<int>)Nccl("GroupStart");
        GroupEnd = (delegate* unmanaged<int>)Nccl("GroupEnd");
        SetDevice = (delegate* unmanaged<int, int>)Cuda("SetDevice");
        StreamCreate = (delegate* unmanaged<nint*, uint, int>)Cuda("StreamCreateWithFlags");
        StreamQuery = (delegate* unmanaged<nint, int>)Cuda("StreamQuery");
        StreamDestroy = (delegate* unmanaged<nint, int>)Cuda("StreamDestroy");
        StreamSynchronize = (delegate* unmanaged<nint, int>)Cuda("StreamSynchronize");
        // In the order of a stream: the plain ones may wait for every kernel on the GPU, also for one that waits for a peer.
        Allocate = (delegate* unmanaged<nint*, nuint, nint, int>)Cuda("MallocAsync");
        Release = (delegate* unmanaged<nint, nint, int>)Cuda("FreeAsync");
        Copy = (delegate* unmanaged<nint, nint, nuint, int, nint, int>)Cuda("MemcpyAsync");
        PointerAttributes = (delegate* unmanaged<nint, nint, int>)Cuda("PointerGetAttributes");
        countDevices = (delegate* unmanaged<int*, int>)Cuda("GetDeviceCount");
        getVersion = (delegate* unmanaged<int*, int>)Nccl("GetVersion");
    }

    /// <summary>True where this NCCL can take ranks out of a living communicator.</summary>
    public bool CanShrink => Shrink != null;

    /// <summary>NCCL's version, such as 2.28.9.</summary>
    public Version Version
    {
        get
        {
            int code;
            getVersion(&code);
            return new Version(code / 10000, code / 100 % 100, code % 100);
        }
    }

    /// <summary>The number of GPUs that this process sees; 0 where there is no driver.</summary>
    public int Devices
    {
        get
        {
            int count;
            return countDevices(&count) == 0 ? count : 0;
        }
    }

    /// <summary>The library, opened once.</summary>
    /// <exception cref="PerennialException">Exit 4: NCCL or the CUDA runtime is not installed.</exception>
    public static NcclLibrary Load() => Shared.Value;

    /// <summary>Null where groups of GPUs can be formed, or else what is missing (for <c>doctor</c>, and for tests that are left out).</summary>
    public static string? WhyMissing()
    {
        try
        {
            return Load().Devices > 0 ? null : "groups of GPUs need a GPU: the CUDA runtime sees none";
        }
        catch (PerennialException error)
        {
            return error.Message;
        }
    }

    /// <summary>
    /// Lets several ranks of this machine use one GPU, for tests and development: NCCL refuses two ranks of one host on a GPU, so each says that it is
    /// a host of its own, and they talk over sockets. Only before this process's first group.
    /// </summary>
    /// <param name="rank">This process's rank.</param>
    public static void ShareGpus(int rank) => SetVariable("NCCL_HOSTID", $"perennial-{Environment.MachineName}-{rank}");

    /// <summary>Keeps NCCL's own connections on the loopback interface, unless the environment chooses one.</summary>
    internal static void StayOnLoopback()
    {
        if (Environment.GetEnvironmentVariable("NCCL_SOCKET_IFNAME") is null) SetVariable("NCCL_SOCKET_IFNAME", "lo");
    }

    // NCCL reads the process's own environment, which .NET copies at the start and does not write to.
    private static void SetVariable(string name, string value)
    {
        if (SetEnvironment(name, value, 1) != 0) throw new InvalidOperationException($"{name} could not be set");
    }

    [DllImport("libc", EntryPoint = "setenv")]
    private static extern int SetEnvironment([MarshalAs(UnmanagedType.LPUTF8Str)] string name, [MarshalAs(UnmanagedType.LPUTF8Str)] string value, int overwrite);

    /// <summary>Opens the first library of each list that is there.</summary>
    /// <exception cref="PerennialException">Exit 4: none is, or it is too old.</exception>
    public static NcclLibrary Open(IReadOnlyList<string> nccl, IReadOnlyList<string> cuda)
    {
        const string cure = "groups of GPUs need NVIDIA's NCCL 2.18 or newer and the CUDA runtime on the library path (packages libnccl2 and cuda-cudart of NVIDIA's repository)";
        if (First(nccl) is not { } library) throw PerennialException.Missing($"{nccl[0]} is not there; {cure}");
        if (First(cuda) is not { } runtime) throw PerennialException.Missing($"{cuda[0]} is not there; {cure}");
        try
        {
            return new NcclLibrary(library, runtime);
        }
        catch (EntryPointNotFoundException error)
        {
            throw PerennialException.Missing($"{nccl[0]} is too old ({error.Message}); {cure}", error);
        }
    }

    private static nint? First(IReadOnlyList<string> names)
    {
        foreach (var name in names)
            if (NativeLibrary.TryLoad(name, out var library)) return library;
        return null;
    }
}
