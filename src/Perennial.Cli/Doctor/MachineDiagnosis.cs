using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Perennial.Evaluation.Charts;
using Perennial.Optimization;
using Perennial.Tensors;
using Perennial.Tensors.Native;

namespace Perennial.Cli.Doctor;

/// <summary>What the machine and the native engine told, as a diagnosis with cures.</summary>
public static class MachineDiagnosis
{
    /// <summary>The diagnosis of a machine on which libtorch loads.</summary>
    /// <param name="torch">The native engine.</param>
    /// <param name="machine">Measured ceilings.</param>
    /// <param name="xz">Path of the xz program; null when there is none.</param>
    /// <param name="groupsMissing">What is missing for groups of processes, with its cure; null when nothing is.</param>
    public static Diagnosis Of(TorchReport torch, MachineMeasures machine, string? xz, string? groupsMissing = null)
    {
        ArgumentNullException.ThrowIfNull(torch);
        ArgumentNullException.ThrowIfNull(machine);
        return new Diagnosis([Processor(torch, machine), Engine(torch), Speed(torch, machine), Helpers(xz, groupsMissing)]);
    }

    /// <summary>The diagnosis of a machine on which libtorch does not load.</summary>
    /// <param name="problem">The one line that the loader told, cure included.</param>
    public static Diagnosis Without(string problem) => new(
    [
        new FindingGroup("processor", "Processor", [.. Capability(CpuCapability.Detect())]),
        new FindingGroup("engine", "Native engine", [new Finding("libtorch", "libtorch", "does not load", Health: Health.Missing, Cure: problem)]),
    ]);

    private static FindingGroup Processor(TorchReport torch, MachineMeasures machine) => new("processor", "Processor and memory",
    [
        .. Capability(torch.Cpu),
        new("threads", "threads used", Human.Whole(torch.Threads), torch.Threads, torch.Threads > machine.Cores ? Health.Warning : Health.Fact,
            torch.Threads > machine.Cores ? $"more threads than the {machine.Cores} logical processors slow each other down; set training.threads" : null),
        new("memory_bytes", "memory", Human.Bytes(machine.MemoryBytes), machine.MemoryBytes, machine.MemoryBytes < 2L << 30 ? Health.Warning : Health.Fact,
            machine.MemoryBytes < 2L << 30 ? "less than 2 GiB: take a small model; `train --dry-run` tells how much a recipe needs" : null),
        .. machine.AvailableBytes is { } free ? [new Finding("available_bytes", "of it free", Human.Bytes(free), free)] : Array.Empty<Finding>(),
        new("system", "system", RuntimeInformation.OSDescription),
        new("dotnet", ".NET", RuntimeInformation.FrameworkDescription),
    ]);

    private static IEnumerable<Finding> Capability(CpuCapability cpu)
    {
        yield return new("model", "model", cpu.Model);
        yield return new("cores", "logical processors", Human.Whole(cpu.Cores), cpu.Cores);
        var features = new[] { (cpu.Avx2, "AVX2"), (cpu.Avx512, "AVX-512"), (cpu.Avx512Bfloat16, "AVX512-BF16"), (cpu.AmxBfloat16, "AMX-BF16") }.Where(one => one.Item1).Select(one => one.Item2).ToArray();
        yield return new("features", "vector units", features.Length == 0 ? "none beyond the baseline" : string.Join(", ", features), new JsonArray([.. features.Select(one => (JsonNode)one)]));
        yield return new("fast_bfloat16", "bfloat16", cpu.FastBfloat16 ? "native" : "by float32 products, without a gain in speed", cpu.FastBfloat16, cpu.FastBfloat16 ? Health.Good : Health.Fact);
    }

    private static FindingGroup Engine(TorchReport torch) => new("engine", "Native engine",
    [
        new("libtorch", "libtorch", torch.LibtorchVersion, Health: Health.Good),
        new("torchsharp", "TorchSharp", torch.TorchSharpVersion, Health: Health.Good),
        new("source", "found", torch.Load.Plan.Source switch
        {
            NativeSource.BesideApplication => "beside the program",
            NativeSource.Variable => "by PERENNIAL_LIBTORCH",
            _ => "in the NuGet package cache",
        }, torch.Load.Plan.Source.ToString()),
        new("folder", "folder", torch.Load.Plan.LibtorchFolder),
        new("mend", "libstdc++ mend", torch.Load.MendReason, torch.Load.Mend.ToString(), torch.Load.Mend == MendOutcome.UnknownLayout ? Health.Warning : Health.Good,
            torch.Load.Mend == MendOutcome.UnknownLayout ? "should training fail to start, install a libstdc++ of GCC 13 or newer" : null),
        .. torch.Glibc is { } glibc ? [new Finding("glibc", "glibc", glibc)] : Array.Empty<Finding>(),
        .. torch.SystemLibstdcxx is { } library ? [new Finding("libstdcxx", "libstdc++", library)] : Array.Empty<Finding>(),
        new("malloc_tuned", "allocator", torch.MallocTuned ? "keeps large blocks" : "as the system has it", torch.MallocTuned),
    ]);

    private static FindingGroup Speed(TorchReport torch, MachineMeasures machine)
    {
        var slow = torch.Cpu.FastBfloat16 && machine.Bfloat16Ceiling < machine.Float32Ceiling;
        var integers = FixedCeiling.Measure();
        return new("speed", "Measured ceilings",
        [
            new("gemm_float32", "float32 products", Human.Unit(machine.Float32Ceiling, "FLOP/s"), machine.Float32Ceiling),
            new("gemm_bfloat16", "bfloat16 products", Human.Unit(machine.Bfloat16Ceiling, "FLOP/s"), machine.Bfloat16Ceiling, slow ? Health.Warning : Health.Fact,
                slow ? "slower than float32 although the processor has a unit for it: take precision float32" : null),
            new("gemm_fixed16", "16-bit integer products", Human.Unit(integers, "OP/s"), integers),
            new("copy_bytes_per_second", "memory copies", Human.Unit(machine.CopyBytesPerSecond, "B/s"), machine.CopyBytesPerSecond),
            .. machine.DiskBytesPerSecond is { } disk
                ? [new Finding("disk_bytes_per_second", "disk, flushed", Human.Unit(disk, "B/s"), disk, disk < 50e6 ? Health.Warning : Health.Fact,
                    disk < 50e6 ? "slow: checkpoint less often, or put the run folder on another disk" : null)]
                : Array.Empty<Finding>(),
        ]);
    }

    private static FindingGroup Helpers(string? xz, string? groupsMissing) => new("helpers", "Helpers",
    [
        groupsMissing is null
            ? new Finding("groups", "several processes", "Gloo is there", true, Health.Good)
            : new Finding("groups", "several processes", "not possible yet", false, Health.Warning, groupsMissing),
        xz is null
            ? new Finding("xz", "xz", "not found", false, Health.Warning, "reports leave the xz yardstick out; Debian: apt-get install xz-utils")
            : new Finding("xz", "xz", xz, Health: Health.Good),
    ]);
}
