namespace Perennial.Tensors.Native;

/// <summary>Where libtorch was found.</summary>
public enum NativeSource
{
    /// <summary>In the application's own folders, where a build puts it.</summary>
    BesideApplication,

    /// <summary>In the folder that the environment variable PERENNIAL_LIBTORCH names.</summary>
    Variable,

    /// <summary>In the NuGet package cache.</summary>
    PackageCache,
}

/// <summary>Which native libraries will be loaded, decided by <see cref="NativeLocator"/>.</summary>
/// <param name="Source">Where libtorch was found.</param>
/// <param name="LibtorchFolder">The folder with libtorch's libraries.</param>
/// <param name="LibTorchSharp">TorchSharp's own native library, perhaps in need of the mend.</param>
/// <param name="VariableIgnored">PERENNIAL_LIBTORCH is set but has no effect, because libtorch lies beside the application; <c>doctor</c> says so.</param>
public sealed record NativePlan(NativeSource Source, string LibtorchFolder, string LibTorchSharp, bool VariableIgnored = false);
