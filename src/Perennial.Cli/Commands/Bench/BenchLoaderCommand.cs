using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Data.Benchmarks;

namespace Perennial.Cli.Commands.Bench;

/// <summary><c>perennial bench loader</c>.</summary>
internal static class BenchLoaderCommand
{
    public static Command Create(CommandContext context)
    {
        var folder = new Option<string>("--folder") { Description = "Where the shard is written (and removed again).", DefaultValueFactory = _ => Path.GetTempPath() };
        var mebibytes = new Option<int>("--size") { Description = "MiB of the shard.", DefaultValueFactory = _ => 2048 };
        var seconds = new Option<double>("--seconds") { Description = "Seconds for each line.", DefaultValueFactory = _ => 1 };
        var json = CommandExtensions.Json();
        return new Command("loader", "Random windows out of a 2 GB shard on one thread, against the machine's copy of the same places.") { folder, mebibytes, seconds, json }.Does(parsed =>
        {
            if (parsed.GetValue(mebibytes) is < 4 or > 1 << 20) throw PerennialException.Usage("--size must be from 4 to 1048576 MiB");
            if (parsed.GetValue(seconds) is not (>= 0.01 and <= 600)) throw PerennialException.Usage("--seconds must be from 0.01 to 600");
            var holds = true;
            foreach (var result in LoaderBench.Run(parsed.GetRequiredValue(folder), (long)parsed.GetValue(mebibytes) << 20, [64, 256, 1024, 2048], parsed.GetValue(seconds), context.Cancellation))
            {
                holds &= result.Holds;
                if (parsed.GetValue(json)) context.Out.WriteJson(ToJson(result));
                else context.Out.WriteLine($"random windows of {result.Window,5} tokens: {result.WindowsPerSecond / 1e6,5:F2} M windows/s/core, {result.BytesPerSecond / 1e9,4:F1} GB/s read, {result.OfCopy,5:P0} of a plain copy of such pieces ({result.CopiesPerSecond / 1e6:F2} M/s); limit {LoaderBench.Limit / 1e6:F0} M or {LoaderBench.BoundByMemory:P0} of the copy: {(result.Holds ? "holds" : "does not hold")}; a batch of {LoaderBenchResult.BatchRows} in {result.BatchSeconds * 1e6,6:F1} µs");
            }
            return holds ? ExitCode.Done : ExitCode.Failed;
        });
    }

    private static JsonObject ToJson(LoaderBenchResult result) => new()
    {
        ["event"] = "bench", ["window"] = result.Window, ["windows_per_second"] = result.WindowsPerSecond, ["copies_per_second"] = result.CopiesPerSecond, ["bytes_per_second"] = result.BytesPerSecond,
        ["of_copy"] = result.OfCopy, ["limit_windows_per_second"] = LoaderBench.Limit, ["batch_rows"] = LoaderBenchResult.BatchRows, ["batch_seconds"] = result.BatchSeconds, ["holds"] = result.Holds,
    };
}
