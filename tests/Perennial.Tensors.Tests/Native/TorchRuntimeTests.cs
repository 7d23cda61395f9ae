using Perennial.Tensors.Native;
using static TorchSharp.torch;

namespace Perennial.Tensors.Tests.Native;

public class TorchRuntimeTests
{
    [Fact]
    public void Initializing_twice_is_initializing_once_and_threads_follow_the_last_call()
    {
        TorchRuntime.Initialize(new TorchRuntimeOptions { Threads = 1 });
        Assert.Equal(1, get_num_threads());
        TorchRuntime.Initialize();
        Assert.Equal(Environment.ProcessorCount, get_num_threads());
        using var tensor = ones(2);
        Assert.Equal(2f, tensor.sum().item<float>());
    }

    [Fact]
    public void A_negative_number_of_threads_is_refused() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => TorchRuntime.Initialize(new TorchRuntimeOptions { Threads = -1 }));

    [Fact]
    public void The_report_tells_where_everything_is()
    {
        var report = TorchRuntime.Describe();
        Assert.Equal("0.107.0", report.TorchSharpVersion);
        Assert.Equal("2.10.0", report.LibtorchVersion);
        Assert.Equal(NativeSource.BesideApplication, report.Load.Plan.Source);
        Assert.True(File.Exists(report.Load.LibTorchSharp));
        Assert.NotEmpty(report.Load.MendReason);
        Assert.NotEmpty(report.Cpu.Model);
        Assert.Equal(Environment.ProcessorCount, report.Cpu.Cores);
        Assert.True(report.Cpu.Avx2 || !report.Cpu.Avx512);
    }

    [Fact]
    public void The_processor_is_the_one_that_the_system_tells_of()
    {
        if (!File.Exists("/proc/cpuinfo")) return;
        var lines = File.ReadAllLines("/proc/cpuinfo");
        var flags = lines.FirstOrDefault(line => line.StartsWith("flags", StringComparison.Ordinal))?.Split(' ').ToHashSet();
        if (flags is null) return;
        var cpu = CpuCapability.Detect();
        Assert.Equal(flags.Contains("avx2"), cpu.Avx2);
        Assert.Equal(flags.Contains("avx512_bf16"), cpu.Avx512Bfloat16);
        Assert.Equal(flags.Contains("amx_bf16"), cpu.AmxBfloat16);
        Assert.Contains(lines, line => line.Contains(cpu.Model, StringComparison.Ordinal));
    }
}
