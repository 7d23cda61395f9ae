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
            foreach (var result in LoaderBench.Run(parsed.GetRequiredValue(folder), (long)parsed.GetValue(mebibytes) << 20, [64, 256, 1024, 2048], parsed.GetValue(seconds), context.Cancellation))
            {
                if (parsed.GetValue(json)) context.Out.WriteJson(ToJson(result));
                else context.Out.WriteLine($"{result.Name}, {result.Window,5} tokens: {result.WindowsPerSecond / 1e6,6:F2} M windows/s/core (limit {LoaderBench.Limit / 1e6:F0} M, or bound by memory), {result.WindowsPerSecond * result.Window / 1e6,7:F0} M tokens/s, {result.BytesPerSecond / 1e9:F1} GB/s, {result.OfCopy:P0} of the machine's copy of such pieces ({result.CopyBytesPerSecond / 1e9:F1} GB/s)");
            }
            return ExitCode.Done;
        });
    }

    private static JsonObject ToJson(LoaderBenchResult result) => new()
    {
        ["event"] = "bench", ["name"] = result.Name, ["window"] = result.Window, ["windows_per_second"] = result.WindowsPerSecond, ["bytes_per_second"] = result.BytesPerSecond,
        ["copy_bytes_per_second"] = result.CopyBytesPerSecond, ["of_copy"] = result.OfCopy, ["limit_windows_per_second"] = LoaderBench.Limit,
    };
}
