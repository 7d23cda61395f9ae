using System.Diagnostics;
using Perennial.Core;
using Perennial.Membership;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Membership;

// dotnet run -c Release --project bench/Perennial.Bench.Groups -- [RANKS] [auto|ring|bcube|direct] [OPERATION …]
// Starts RANKS processes that meet in an embedded store, measures every collective over Gloo, prints rank 0's figures.
const string storeVariable = "PERENNIAL_BENCH_STORE";
try
{
    var algorithm = args.Length > 1 ? Enum.Parse<AllReduceAlgorithm>(args[1], ignoreCase: true) : AllReduceAlgorithm.Auto;
    var operations = args.Length > 2 ? args[2..] : [.. CollectiveBench.Operations];
    if (RankEnvironment.Read() is { } place)
    {
        using var client = RedisStore.Connect(StoreAddress.Parse(Environment.GetEnvironmentVariable(storeVariable)!));
        using var group = GlooCommunicator.Create(client, new GroupSettings { Name = "bench/", Rank = place.Rank, Size = place.WorldSize, Algorithm = algorithm });
        var report = CollectiveBench.Measure(group, CollectiveBench.Sizes, operations);
        if (place.Rank == 0) Print(report, algorithm);
        group.Barrier();
        return 0;
    }
    var ranks = args.Length > 0 ? int.Parse(args[0]) : 2;
    using var store = EmbeddedStore.Start();
    var processes = Enumerable.Range(0, ranks).Select(rank =>
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!);
        foreach (var argument in args) start.ArgumentList.Add(argument);
        start.Environment["RANK"] = $"{rank}";
        start.Environment["WORLD_SIZE"] = $"{ranks}";
        start.Environment["MASTER_ADDR"] = store.Address.Host;
        start.Environment["MASTER_PORT"] = $"{store.Address.Port}";
        start.Environment[storeVariable] = store.Address.ToSecretString();
        return Process.Start(start)!;
    }).ToList();
    processes.ForEach(process => process.WaitForExit());
    return processes.Max(process => process.ExitCode);
}
catch (PerennialException error)
{
    Console.Error.WriteLine(error.Message);
    return (int)error.Code;
}

static void Print(CollectiveReport report, AllReduceAlgorithm algorithm)
{
    Console.WriteLine($"{report.Timings[0].Ranks} processes, all-reduce {algorithm}, memory copy {report.CopyBandwidth / 1e9:F1} GB/s");
    Console.WriteLine($"{"operation",-15}{"bytes",12}{"median ms",12}{"p95 ms",10}{"alg GB/s",10}{"bus GB/s",10}{"/ copy",8}");
    foreach (var t in report.Timings)
        Console.WriteLine($"{t.Operation,-15}{t.Bytes,12}{t.Median * 1e3,12:F3}{t.Percentile95 * 1e3,10:F3}{t.AlgorithmBandwidth / 1e9,10:F3}{t.BusBandwidth / 1e9,10:F3}{t.BusBandwidth / report.CopyBandwidth,8:F3}");
    foreach (var c in report.Costs)
        Console.WriteLine($"{c.Operation,-15} time = {c.Latency * 1e6:F0} us + bytes / {c.Bandwidth / 1e9:F3} GB/s (error {c.Error:P0})");
}
