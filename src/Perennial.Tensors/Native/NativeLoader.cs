using System.Runtime.InteropServices;
using System.Runtime.Loader;
using Perennial.Core;

namespace Perennial.Tensors.Native;

/// <summary>What was loaded, and what the mend did for it.</summary>
/// <param name="Plan">Where the libraries come from.</param>
/// <param name="LibTorchSharp">The file of TorchSharp's native library that was loaded: the plan's, or a mended copy.</param>
/// <param name="Mend">Outcome for the plan's file; <see cref="MendOutcome.NotNeeded"/> also where the system's libstdc++ is new enough.</param>
/// <param name="MendReason">One line for people.</param>
public sealed record NativeLoad(NativePlan Plan, string LibTorchSharp, MendOutcome Mend, string MendReason);

/// <summary>
/// Loads the libraries of a plan by their full paths, in the order of their dependencies. From then on the loaders of .NET and of the
/// system find them by name, wherever they lie.
/// </summary>
internal static class NativeLoader
{
    /// <summary>Loads everything.</summary>
    /// <exception cref="PerennialException">A library cannot be loaded (exit 4).</exception>
    internal static NativeLoad Load(NativePlan plan, string platform, string mendedFolder)
    {
        var handles = new Dictionary<string, nint>(StringComparer.Ordinal);
        foreach (var name in (ReadOnlySpan<string>)["c10", "torch_cpu", "torch"])
            handles[name] = Open(Path.Combine(plan.LibtorchFolder, NativeLocator.FileName(name, platform)), plan);

        var (path, temporary) = (plan.LibTorchSharp, false);
        var (mend, reason) = (MendOutcome.NotNeeded, "this system needs no mend");
        if (platform == "linux-x64")
        {
            var result = GlibcxxMend.Mend(File.ReadAllBytes(plan.LibTorchSharp));
            (mend, reason) = (result.Outcome, result.Reason);
            if (mend == MendOutcome.Mended && !GlibcxxMend.SystemNeedsIt()) (mend, reason) = (MendOutcome.NotNeeded, $"{GlibcxxMend.SystemLibrary()} has {GlibcxxMend.Version}");
            else if (mend == MendOutcome.Mended) (path, temporary) = PlaceMended(result.Image, mendedFolder);
        }
        handles["LibTorchSharp"] = Open(path, plan);
        if (temporary) Directory.Delete(Path.GetDirectoryName(path)!, recursive: true);

        // Linux and Windows find a loaded library by its name; this also answers where they do not.
        AssemblyLoadContext.Default.ResolvingUnmanagedDll += (_, name) => handles.GetValueOrDefault(name);
        return new NativeLoad(plan, path, mend, reason);
    }

    /// <summary>The user's cache or, where that cannot be written, a fresh private folder that is deleted once the library is loaded.</summary>
    private static (string Path, bool Temporary) PlaceMended(byte[] image, string folder)
    {
        const string Name = "libLibTorchSharp.so";
        try
        {
            return (MendedCache.Place(folder, Name, image), false);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return (MendedCache.Place(Directory.CreateTempSubdirectory("perennial-natives-").FullName, Name, image), true);
        }
    }

    private static nint Open(string path, NativePlan plan)
    {
        try
        {
            return NativeLibrary.Load(path);
        }
        catch (Exception error) when (error is DllNotFoundException or BadImageFormatException)
        {
            // The system's own words are the line that begins with the path; around it .NET lists every place it looked at.
            var lines = error.Message.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
            var why = lines.FirstOrDefault(line => line.StartsWith(path, StringComparison.Ordinal))?[path.Length..].TrimStart(':', ' ') ?? lines[0];
            var cure = plan.Source == NativeSource.Variable
                ? $"{NativeLocator.Variable} must name the libraries of libtorch {NativeLocator.LibtorchVersion}"
                : "build or install again; 'perennial doctor' tells more";
            throw PerennialException.Missing($"{path}: it cannot be loaded: {why}; {cure}", error);
        }
    }
}
