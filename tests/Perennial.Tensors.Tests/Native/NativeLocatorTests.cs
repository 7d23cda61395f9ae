using Perennial.Core;
using Perennial.Tensors.Native;

namespace Perennial.Tensors.Tests.Native;

public sealed class NativeLocatorTests : IDisposable
{
    private readonly DirectoryInfo root = Directory.CreateTempSubdirectory("perennial-locator-");

    public void Dispose() => root.Delete(recursive: true);

    [Fact]
    public void The_application_comes_before_the_variable_and_the_variable_before_the_cache()
    {
        Cached();
        Touch("chosen/lib/libtorch_cpu.so");
        Touch("app/libLibTorchSharp.so");
        Assert.Equal(new NativePlan(NativeSource.PackageCache, At("cache/libtorch-cpu-linux-x64/2.10.0/runtimes/linux-x64/native"), At("app/libLibTorchSharp.so")), Locator(null).Locate());
        Assert.Equal(new NativePlan(NativeSource.Variable, At("chosen/lib"), At("app/libLibTorchSharp.so")), Locator(At("chosen")).Locate());
        Assert.Equal(At("chosen/lib"), Locator(At("chosen/lib")).Locate().LibtorchFolder);
        Touch("app/libtorch_cpu.so");
        Assert.Equal(new NativePlan(NativeSource.BesideApplication, At("app"), At("app/libLibTorchSharp.so")), Locator(null).Locate());
        Assert.Equal(new NativePlan(NativeSource.BesideApplication, At("app"), At("app/libLibTorchSharp.so"), VariableIgnored: true), Locator(At("chosen")).Locate());
    }

    [Fact]
    public void The_binding_s_library_may_come_from_the_cache_too()
    {
        Cached();
        Assert.Equal(At("cache/torchsharp/0.107.0/runtimes/linux-x64/native/libLibTorchSharp.so"), Locator(null).Locate().LibTorchSharp);
    }

    [Fact]
    public void Another_version_in_the_cache_does_not_count_and_the_message_says_what_to_run()
    {
        Touch("cache/libtorch-cpu-linux-x64/2.9.0/runtimes/linux-x64/native/libtorch_cpu.so");
        var error = Assert.Throws<PerennialException>(() => Locator(null).Locate());
        Assert.Equal(ExitCode.Missing, error.Code);
        Assert.Contains($"dotnet package download libtorch-cpu-linux-x64@2.10.0 --output {At("cache")}", error.Message);
        Assert.Contains("PERENNIAL_LIBTORCH", error.Message);
    }

    [Fact]
    public void A_variable_that_names_no_libtorch_is_an_error_even_if_the_cache_has_one()
    {
        Cached();
        var error = Assert.Throws<PerennialException>(() => Locator(At("nowhere")).Locate());
        Assert.Equal(ExitCode.Missing, error.Code);
        Assert.Contains(At("nowhere"), error.Message);
    }

    [Fact]
    public void A_missing_binding_is_told()
    {
        Touch("app/libtorch_cpu.so");
        Assert.Contains("dotnet package download TorchSharp@0.107.0", Assert.Throws<PerennialException>(() => Locator(null).Locate()).Message);
    }

    [Theory]
    [InlineData("linux-x64", "libtorch_cpu.so")]
    [InlineData("win-x64", "torch_cpu.dll")]
    [InlineData("osx-arm64", "libtorch_cpu.dylib")]
    public void Libraries_have_their_platform_s_names(string platform, string name) => Assert.Equal(name, NativeLocator.FileName("torch_cpu", platform));

    [Fact]
    public void The_cache_replaces_a_planted_file_and_keeps_a_good_one()
    {
        var folder = At("natives/0.107.0");
        var path = MendedCache.Place(folder, "x.so", [1, 2, 3]);
        var written = File.GetLastWriteTimeUtc(path);
        Assert.Equal(path, MendedCache.Place(folder, "x.so", [1, 2, 3]));
        Assert.Equal(written, File.GetLastWriteTimeUtc(path));
        File.WriteAllBytes(path, [9, 9, 9]);
        MendedCache.Place(folder, "x.so", [1, 2, 3]);
        Assert.Equal<byte>([1, 2, 3], File.ReadAllBytes(path));
        Assert.Single(Directory.GetFiles(folder));
    }

    private void Cached()
    {
        Touch("cache/libtorch-cpu-linux-x64/2.10.0/runtimes/linux-x64/native/libtorch_cpu.so");
        Touch("cache/torchsharp/0.107.0/runtimes/linux-x64/native/libLibTorchSharp.so");
    }

    private NativeLocator Locator(string? variable) => new([At("app")], variable, At("cache"), "linux-x64", "2.10.0", "0.107.0");

    private string At(string relative) => Path.Combine(root.FullName, relative);

    private void Touch(string relative)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(At(relative))!);
        File.WriteAllBytes(At(relative), []);
    }
}
