using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Cli.Launch;
using Perennial.Core;
using Perennial.Membership;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Membership;

namespace Perennial.Cli.Commands.Bench;

/// <summary>What carries the collectives.</summary>
internal enum CollectiveEngine
{
    /// <summary>TCP between processors.</summary>
    Gloo,

    /// <summary>GPUs.</summary>
    Nccl,
}

/// <summary><c>perennial bench collectives</c>.</summary>
internal static class BenchCollectivesCommand
{
    public static Command Create(CommandContext context)
    {
        var workers = new Option<int>("--workers") { Description = "Processes.", DefaultValueFactory = _ => 2 };
        var algorithm = new Option<AllReduceAlgorithm>("--algorithm") { Description = "How all-reduce goes.", DefaultValueFactory = _ => AllReduceAlgorithm.Auto };
        var engine = new Option<CollectiveEngine>("--engine") { Description = "Gloo between processors, NCCL between GPUs (fewer GPUs than workers: they share them, over sockets).", DefaultValueFactory = _ => CollectiveEngine.Gloo };
        var json = CommandExtensions.Json();
        return new Command("collectives", "Collectives between processes, by message size, with their fitted latency and bandwidth.") { workers, engine, algorithm, json }.Does(parsed =>
        {
            var chosen = parsed.GetValue(engine);
            if (chosen == CollectiveEngine.Gloo) GlooLibrary.Load();
            else if (NcclLibrary.WhyMissing() is { } missing) throw PerennialException.Missing(missing);
            if (RankEnvironment.Read() is { } place && Environment.GetEnvironmentVariable(WorkerGroup.StoreVariable) is { } store) return Measure(context, place, StoreAddress.Parse(store), chosen, parsed.GetValue(algorithm), parsed.GetValue(json));
            var count = parsed.GetValue(workers);
            if (count is < 2 or > 64) throw PerennialException.Usage("--workers must be from 2 to 64");
            using var embedded = EmbeddedStore.Start();
            List<string> arguments = ["bench", "collectives", "--engine", $"{chosen}", "--algorithm", $"{parsed.GetValue(algorithm)}"];
            if (parsed.GetValue(json)) arguments.Add("--json");
            var options = new LauncherOptions
            {
                Workers = count, Arguments = arguments, Respawn = null,
                Variables = new Dictionary<string, string>(StringComparer.Ordinal) { [WorkerGroup.StoreVariable] = embedded.Address.ToSecretString(), ["MASTER_ADDR"] = embedded.Address.Host, ["MASTER_PORT"] = $"{embedded.Address.Port}" },
            };
            return new Launcher(options, context.Out.WriteLine, context.Error.WriteLine, (_, _) => { }).Run(context.Cancellation);
        });
    }

    private static ExitCode Measure(CommandContext context, RankEnvironment place, StoreAddress address, CollectiveEngine engine, AllReduceAlgorithm algorithm, bool json)
    {
        using var client = RedisStore.Connect(address);
        var settings = new GroupSettings { Name = "bench/", Rank = place.Rank, Size = place.WorldSize, Algorithm = algorithm, CreateTimeout = TimeSpan.FromSeconds(30) };
        var device = engine == CollectiveEngine.Nccl ? Device(place) : 0;
        using ICommunicator group = engine == CollectiveEngine.Nccl ? NcclCommunicator.Create(client, settings, device) : GlooCommunicator.Create(client, settings);
        var report = CollectiveBench.Measure(group, CollectiveBench.Sizes, CollectiveBench.Operations, memory: engine == CollectiveEngine.Nccl ? new GpuCollectiveMemory(device) : null);
        if (place.Rank == 0 && json) WriteJson(context.Out, report);
        if (place.Rank == 0 && !json) WriteText(context.Out, report);
        group.Barrier();
        return ExitCode.Done;
    }

    private static int Device(RankEnvironment place)
    {
        var devices = NcclLibrary.Load().Devices;
        if (devices < place.WorldSize) NcclLibrary.ShareGpus(place.Rank);
        return place.Rank % devices;
    }

    private static void WriteJson(TextWriter output, CollectiveReport report)
    {
        foreach (var t in report.Timings)
            output.WriteJson(new JsonObject { ["event"] = "bench", ["operation"] = t.Operation, ["ranks"] = t.Ranks, ["bytes"] = t.Bytes, ["median_seconds"] = t.Median, ["p95_seconds"] = t.Percentile95, ["algorithm_bytes_per_second"] = t.AlgorithmBandwidth, ["bus_bytes_per_second"] = t.BusBandwidth, ["of_copy"] = t.BusBandwidth / report.CopyBandwidth });
        foreach (var c in report.Costs)
            output.WriteJson(new JsonObject { ["event"] = "fit", ["operation"] = c.Operation, ["latency_seconds"] = c.Latency, ["bytes_per_second"] = c.Bandwidth, ["error"] = c.Error });
    }

    private static void WriteText(TextWriter output, CollectiveReport report)
    {
        output.WriteLine($"{report.Timings[0].Ranks} processes, memory copy {report.CopyBandwidth / 1e9:F1} GB/s");
        output.WriteLine($"{"operation",-15}{"bytes",12}{"median ms",12}{"p95 ms",10}{"alg GB/s",10}{"bus GB/s",10}{"/ copy",8}");
        foreach (var t in report.Timings)
            output.WriteLine($"{t.Operation,-15}{t.Bytes,12}{t.Median * 1e3,12:F3}{t.Percentile95 * 1e3,10:F3}{t.AlgorithmBandwidth / 1e9,10:F3}{t.BusBandwidth / 1e9,10:F3}{t.BusBandwidth / report.CopyBandwidth,8:F3}");
        foreach (var c in report.Costs) output.WriteLine($"{c.Operation,-15} time = {c.Latency * 1e6:F0} us + bytes / {c.Bandwidth / 1e9:F3} GB/s (error {c.Error:P0})");
    }
}
