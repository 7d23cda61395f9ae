using Perennial.Core;

namespace Perennial.Tensors.Tests;

[Collection("alone")]
public sealed class MachineProbeTests : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("perennial-probe-");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public void The_quick_probe_measures_everything_and_leaves_nothing()
    {
        var before = TensorCensus.LiveOnThisThread;
        var measures = MachineProbe.Measure(new MachineProbeOptions { Folder = folder.FullName });
        Assert.True(measures.Float32Ceiling > 1e8);
        Assert.True(measures.Bfloat16Ceiling > 1e7);
        Assert.Equal(measures.Float32Ceiling, measures.Ceiling(Precision.Float32));
        Assert.All(measures.Float32, product => Assert.True(product.FlopsPerSecond <= measures.Float32Ceiling));
        Assert.True(measures.CopyBytesPerSecond > 1e7);
        Assert.True(measures.DiskBytesPerSecond > 1e4);
        Assert.True(measures.MemoryBytes > 1 << 20);
        Assert.Equal(Environment.ProcessorCount, measures.Cores);
        Assert.Empty(folder.GetFileSystemInfos());
        Assert.Equal(before, TensorCensus.LiveOnThisThread);
    }

    [Fact]
    public void A_folder_that_is_not_there_is_told()
    {
        var error = Assert.Throws<PerennialException>(() => MachineProbe.DiskSpeed(Path.Combine(folder.FullName, "none"), 1));
        Assert.Equal(ExitCode.Failed, error.Code);
    }
}
