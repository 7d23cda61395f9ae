using System.Runtime.InteropServices;
using Perennial.Core;
using Perennial.Tensors.Native;
using static TorchSharp.torch;

namespace Perennial.Tensors;

/// <summary>How libtorch is set up.</summary>
public sealed record TorchRuntimeOptions
{
    /// <summary>Threads of a tensor operation; 0 for one per logical processor of this process.</summary>
    public int Threads { get; init; }
}

/// <summary>The state of libtorch in this process, for <c>doctor</c> and reports.</summary>
/// <param name="TorchSharpVersion">Version of the binding.</param>
/// <param name="LibtorchVersion">Version of libtorch.</param>
/// <param name="Load">What was loaded and what the mend did.</param>
/// <param name="Threads">Threads of a tensor operation.</param>
/// <param name="MallocTuned">Whether glibc's allocator was told to keep large blocks.</param>
/// <param name="Glibc">Version of the C library; null where it is not glibc.</param>
/// <param name="SystemLibstdcxx">The system's libstdc++; null where none was found or none is needed.</param>
/// <param name="Cpu">The processor.</param>
public sealed record TorchReport(
    string TorchSharpVersion, string LibtorchVersion, NativeLoad Load, int Threads, bool MallocTuned, string? Glibc, string? SystemLibstdcxx, CpuCapability Cpu);

/// <summary>
/// Brings libtorch into the process, from wherever it lies. Call <see cref="Initialize"/> before the first tensor, on the main thread.
/// The state is the process's own, because a native library is loaded once for the whole process.
/// </summary>
public static partial class TorchRuntime
{
    private static readonly Lock Gate = new();
    private static (NativeLoad Load, bool MallocTuned)? loaded;

    /// <summary>Loads libtorch (once) and sets the number of threads (each time).</summary>
    /// <exception cref="PerennialException">A native library is missing or cannot be loaded (exit 4); the message says how to get it.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A negative number of threads.</exception>
    public static void Initialize(TorchRuntimeOptions? options = null)
    {
        options ??= new TorchRuntimeOptions();
        ArgumentOutOfRangeException.ThrowIfNegative(options.Threads, nameof(options));
        lock (Gate)
        {
            loaded ??= (NativeLoader.Load(NativeLocator.ForThisProcess().Locate(), NativeLocator.Platform, MendedCache.Folder(NativeLocator.TorchSharpVersion)), MallocTuning.Apply());
            set_num_threads(options.Threads == 0 ? Environment.ProcessorCount : options.Threads);
        }
    }

    /// <summary>Initializes if that has not happened; where it has, the number of threads stays whoever's choice it was.</summary>
    /// <exception cref="PerennialException">A native library is missing or cannot be loaded (exit 4); the message says how to get it.</exception>
    public static void EnsureLoaded()
    {
        lock (Gate)
        {
            if (loaded is null) Initialize();
        }
    }

    /// <summary>Gives pages that freed tensors left inside the native heap back to the system. For the end of work that is not a step.</summary>
    public static void ReleaseFreeMemory() => MallocTuning.Trim();

    /// <summary>Initializes if that has not happened, and tells how things stand.</summary>
    /// <exception cref="PerennialException">A native library is missing or cannot be loaded (exit 4); the message says how to get it.</exception>
    public static TorchReport Describe()
    {
        lock (Gate)
        {
            EnsureLoaded();
            return new TorchReport(
                NativeLocator.TorchSharpVersion, NativeLocator.LibtorchVersion, loaded!.Value.Load, get_num_threads(), loaded.Value.MallocTuned,
                GlibcVersion(), OperatingSystem.IsLinux() ? GlibcxxMend.SystemLibrary() : null, CpuCapability.Detect());
        }
    }

    private static string? GlibcVersion()
    {
        if (!OperatingSystem.IsLinux()) return null;
        try
        {
            return Marshal.PtrToStringUTF8(GnuGetLibcVersion());
        }
        catch (EntryPointNotFoundException)
        {
            return null; // musl
        }
    }

    [LibraryImport("libc", EntryPoint = "gnu_get_libc_version")]
    private static partial nint GnuGetLibcVersion();
}
