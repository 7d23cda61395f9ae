using System.Reflection;
using System.Runtime.InteropServices;
using Perennial.Core;

namespace Perennial.Tensors.Native;

/// <summary>
/// Finds libtorch: beside the application, else in PERENNIAL_LIBTORCH, else in the NuGet package cache, always of exactly the version
/// that the binding was built for. A thin tool package carries no libtorch (half a gigabyte).
/// </summary>
/// <param name="applicationFolders">Where the application's own native libraries may lie, in order.</param>
/// <param name="libtorchVariable">The value of PERENNIAL_LIBTORCH; null or empty when unset.</param>
/// <param name="packageCache">The folder of the NuGet package cache.</param>
/// <param name="platform">Runtime identifier, for example linux-x64.</param>
/// <param name="libtorchVersion">Version of the libtorch package.</param>
/// <param name="torchSharpVersion">Version of the TorchSharp package.</param>
internal sealed class NativeLocator(
    IReadOnlyList<string> applicationFolders, string? libtorchVariable, string packageCache, string platform, string libtorchVersion, string torchSharpVersion)
{
    internal const string Variable = "PERENNIAL_LIBTORCH";

    /// <summary>File name of a native library on a platform.</summary>
    internal static string FileName(string library, string platform) => platform.Split('-')[0] switch
    {
        "win" => $"{library}.dll",
        "osx" => $"lib{library}.dylib",
        _ => $"lib{library}.so",
    };

    /// <summary>This process's platform, as the packages name it (never a distribution's own identifier).</summary>
    internal static string Platform { get; } =
        $"{(OperatingSystem.IsWindows() ? "win" : OperatingSystem.IsMacOS() ? "osx" : "linux")}-{RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant()}";

    /// <summary>The locator for this process.</summary>
    internal static NativeLocator ForThisProcess()
    {
        var folders = new List<string> { AppContext.BaseDirectory, Path.Combine(AppContext.BaseDirectory, "runtimes", Platform, "native") };
        folders.AddRange((AppContext.GetData("NATIVE_DLL_SEARCH_DIRECTORIES") as string ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries));
        var cache = Environment.GetEnvironmentVariable("NUGET_PACKAGES");
        if (string.IsNullOrEmpty(cache)) cache = Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        return new NativeLocator(folders, Environment.GetEnvironmentVariable(Variable), cache, Platform, LibtorchVersion, TorchSharpVersion);
    }

    /// <summary>The libtorch version this was built with, from the central package list.</summary>
    internal static string LibtorchVersion { get; } =
        typeof(NativeLocator).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(attribute => attribute.Key == "LibtorchVersion").Value!;

    /// <summary>The TorchSharp version in use. Read from metadata: touching the class <c>torch</c> would load libtorch.</summary>
    internal static string TorchSharpVersion { get; } =
        typeof(TorchSharp.torch).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0]
        ?? typeof(TorchSharp.torch).Assembly.GetName().Version!.ToString(3);

    /// <summary>Decides what to load; nothing is loaded or written.</summary>
    /// <exception cref="PerennialException">Something is missing (exit 4); the message says how to get it.</exception>
    internal NativePlan Locate()
    {
        var (source, folder) = LocateLibtorch();
        var name = FileName("LibTorchSharp", platform);
        var packaged = Path.Combine(packageCache, "torchsharp", torchSharpVersion, "runtimes", platform, "native");
        var library = applicationFolders.Append(packaged).Select(candidate => Path.Combine(candidate, name)).FirstOrDefault(File.Exists)
            ?? throw PerennialException.Missing(
                $"{name} of TorchSharp {torchSharpVersion} is neither beside the program nor in {packaged}; get it with 'dotnet package download TorchSharp@{torchSharpVersion} --output {packageCache}'");
        return new NativePlan(source, folder, library, source == NativeSource.BesideApplication && !string.IsNullOrEmpty(libtorchVariable));
    }

    private (NativeSource Source, string Folder) LocateLibtorch()
    {
        var name = FileName("torch_cpu", platform);
        bool Has(string folder) => File.Exists(Path.Combine(folder, name));

        if (applicationFolders.FirstOrDefault(Has) is { } beside) return (NativeSource.BesideApplication, beside);
        if (!string.IsNullOrEmpty(libtorchVariable))
        {
            // The unpacked archive from pytorch.org keeps its libraries in lib; so does a Python installation.
            return new[] { libtorchVariable, Path.Combine(libtorchVariable, "lib") }.FirstOrDefault(Has) is { } chosen
                ? (NativeSource.Variable, chosen)
                : throw PerennialException.Missing($"{Variable} names {libtorchVariable}, but there is no {name} in it or in its folder lib; point it at the libraries of libtorch {libtorchVersion}");
        }
        var package = $"libtorch-cpu-{platform}";
        var cached = Path.Combine(packageCache, package, libtorchVersion, "runtimes", platform, "native");
        return Has(cached)
            ? (NativeSource.PackageCache, cached)
            : throw PerennialException.Missing(
                $"libtorch {libtorchVersion} is neither beside the program nor in {cached}; get it with 'dotnet package download {package}@{libtorchVersion} --output {packageCache}', or set {Variable} to a folder with its libraries");
    }
}
