using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Perennial.Core;
using Perennial.Data.Preparation;
using Perennial.Tensors;

namespace Perennial.Cli.Doctor;

/// <summary>Looks the machine over.</summary>
internal static class Examination
{
    public static Diagnosis Run()
    {
        TorchReport torch;
        try
        {
            torch = TorchRuntime.Describe();
        }
        catch (PerennialException missing) when (missing.Code == ExitCode.Missing)
        {
            return new Diagnosis([System(), new("libtorch", "libtorch", [new("libtorch", "libtorch", "not loaded", null, Health.Missing, missing.Message)])]);
        }
        Directory.CreateDirectory(DataPreparation.DefaultCache);
        var measured = MachineProbe.Measure(new MachineProbeOptions { Quick = true, Folder = DataPreparation.DefaultCache });
        return new Diagnosis([System(), Processor(torch), Libtorch(torch), Speed(measured), Storage(measured), Tools()]);
    }

    private static FindingGroup System() => new("system", "System", [
        new("system", "system", RuntimeInformation.OSDescription),
        new("dotnet", ".NET", RuntimeInformation.FrameworkDescription),
        new("perennial", "Perennial", typeof(Examination).Assembly.GetName().Version!.ToString(3)),
    ]);

    private static FindingGroup Processor(TorchReport torch) => new("processor", "Processor", [
        new("model", "model", torch.Cpu.Model),
        new("cores", "cores", $"{torch.Cpu.Cores}", torch.Cpu.Cores),
        new("threads", "threads of a tensor operation", $"{torch.Threads}", torch.Threads),
        Feature("avx2", "AVX2", torch.Cpu.Avx2),
        Feature("avx512", "AVX-512", torch.Cpu.Avx512),
        torch.Cpu.FastBfloat16
            ? new("bfloat16", "bfloat16 instructions", torch.Cpu.AmxBfloat16 ? "AMX" : "AVX512-BF16", true, Health.Good)
            : new("bfloat16", "bfloat16 instructions", "none", false, Health.Fact, "precision: auto trains in float32 here; bfloat16 is computed with rounded operands at float32 speed"),
    ]);

    private static Finding Feature(string key, string label, bool has) => new(key, label, has ? "yes" : "no", has, has ? Health.Good : Health.Fact);

    private static FindingGroup Libtorch(TorchReport torch) => new("libtorch", "libtorch", [
        new("torchsharp", "TorchSharp", torch.TorchSharpVersion),
        new("version", "libtorch", torch.LibtorchVersion, null, Health.Good),
        new("load", "loaded from", torch.Load.ToString()),
        new("libstdcxx", "system libstdc++", torch.SystemLibstdcxx ?? "none found"),
        new("malloc", "allocator keeps large blocks", torch.MallocTuned ? "yes" : "no", torch.MallocTuned),
    ]);

    private static FindingGroup Speed(MachineMeasures measured) => new("speed", "Measured speed", [
        Rate("float32_flops", "float32 matrix product", measured.Float32Ceiling, "GFLOP/s"),
        Rate("bfloat16_flops", "bfloat16 matrix product", measured.Bfloat16Ceiling, "GFLOP/s"),
        Rate("copy_bytes_per_second", "memory copy (read and write)", measured.CopyBytesPerSecond, "GB/s"),
    ]);

    private static FindingGroup Storage(MachineMeasures measured)
    {
        var findings = new List<Finding> { new("memory_bytes", "memory", $"{measured.MemoryBytes / 1e9:F1} GB", measured.MemoryBytes) };
        if (measured.DiskBytesPerSecond is { } disk) findings.Add(Rate("disk_bytes_per_second", "disk write, made durable", disk, "GB/s"));
        var free = new DriveInfo(DataPreparation.DefaultCache).AvailableFreeSpace;
        findings.Add(new("free_bytes", "free disk at the cache", $"{free / 1e9:F1} GB", free, free > 2L << 30 ? Health.Good : Health.Warning, free > 2L << 30 ? null : "checkpoints and prepared data need room; free some, or set data.cache and --run to another disk"));
        findings.Add(new("cache", "prepared data in", DataPreparation.DefaultCache));
        return new("storage", "Memory and disk", findings);
    }

    private static FindingGroup Tools()
    {
        var xz = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Any(folder => folder.Length > 0 && File.Exists(Path.Combine(folder, OperatingSystem.IsWindows() ? "xz.exe" : "xz")));
        return new("tools", "Optional tools", [new("xz", "xz (a yardstick in reports)", xz ? "found" : "not found", JsonValue.Create(xz), xz ? Health.Good : Health.Fact, xz ? null : "reports leave this yardstick out; install xz-utils to have it")]);
    }

    private static Finding Rate(string key, string label, double perSecond, string unit) => new(key, label, $"{perSecond / 1e9:F1} {unit}", perSecond);
}
