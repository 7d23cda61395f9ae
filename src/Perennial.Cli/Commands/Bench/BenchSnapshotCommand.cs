using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Cli.Launch;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Tensors;
using Perennial.Training.Bench;

namespace Perennial.Cli.Commands.Bench;

/// <summary><c>perennial bench snapshot</c>.</summary>
internal static class BenchSnapshotCommand
{
    public static Command Create(CommandContext context)
    {
        var rounds = new Option<int>("--rounds") { Description = "Rounds; each times two steps with snapshots beside two without, and one with each way on disk; the slowdown is the median over neighbouring steps, its quartiles beside.", DefaultValueFactory = _ => 6 };
        var pairs = new Option<int>("--pairs") { Description = "Pairs of steps an eighth as long, with and without a snapshot, that tell what one costs; it is the same beside a short step, and stands out there.", DefaultValueFactory = _ => 48 };
        var rows = new Option<int>("--rows") { Description = "Sequences of 256 tokens a step.", DefaultValueFactory = _ => 16 };
        var folder = new Option<string?>("--folder") { Description = "A folder on the disk that checkpoints are measured on; the temporary folder by default." };
        var json = CommandExtensions.Json();
        return new Command("snapshot", "A snapshot of a 25 M-parameter model's state after every step, against checkpoints on disk as often, in the same run.") { rounds, rows, pairs, folder, json }.Does(parsed =>
        {
            if (parsed.GetValue(rounds) is < 1 or > 100) throw PerennialException.Usage("--rounds must be from 1 to 100");
            if (parsed.GetValue(rows) is < 1 or > 1024) throw PerennialException.Usage("--rows must be from 1 to 1024");
            if (parsed.GetValue(pairs) is < 4 or > 10_000) throw PerennialException.Usage("--pairs must be from 4 to 10000");
            TorchRuntime.Initialize();
            var run = Guid.NewGuid();
            var place = Path.Combine(parsed.GetValue(folder) ?? Path.GetTempPath(), $"perennial-bench-{run:N}");
            Directory.CreateDirectory(place);
            using var manager = new NodeManager(run, "bench");
            try
            {
                manager.Start();
                manager.Await(TimeSpan.FromSeconds(30));
                var options = new SnapshotBenchOptions { RunId = run, Manager = manager.Endpoint, Folder = place, Rounds = parsed.GetValue(rounds), Rows = parsed.GetValue(rows), Pairs = parsed.GetValue(pairs) };
                var results = SnapshotBench.Run(options);
                if (!parsed.GetValue(json)) context.Out.WriteLine($"{results[0].Parameters:N0} parameters, {results.Max(result => result.Bytes) >> 20} MiB of state kept after every step; disk: {place}");
                foreach (var result in results)
                {
                    var mode = OptionNames.ToKey(result.Mode.ToString());
                    if (parsed.GetValue(json))
                        context.Out.WriteJson(new JsonObject { ["event"] = "bench", ["mode"] = mode, ["step_seconds"] = result.Step, ["over_plain"] = result.OverPlain, ["slowdown"] = result.OverPlain - 1, ["slowdown_lower_quartile"] = result.LowerQuartile - 1, ["slowdown_upper_quartile"] = result.UpperQuartile - 1, ["wait_seconds"] = result.Wait, ["bytes"] = result.Bytes, ["parameters"] = result.Parameters, ["times"] = new JsonArray([.. result.Times.Select(time => JsonValue.Create(time))]) });
                    else
                        context.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{mode,-18} {result.Step,7:F3} s a step, {(result.OverPlain - 1) * 100,7:F2} % slower [{(result.LowerQuartile - 1) * 100:F2}, {(result.UpperQuartile - 1) * 100:F2}], standing still {result.Wait * 1000,7:F1} ms"));
                }
                var cost = SnapshotBench.Cost(options);
                var step = results.First(result => result.Mode == KeepMode.Nothing).Step;
                if (parsed.GetValue(json))
                    context.Out.WriteJson(new JsonObject { ["event"] = "snapshot_cost", ["seconds"] = cost.Seconds, ["seconds_lower"] = cost.Lower, ["seconds_upper"] = cost.Upper, ["pairs"] = cost.Pairs, ["short_step_seconds"] = cost.Step, ["slowdown"] = cost.Seconds / step, ["slowdown_lower"] = cost.Lower / step, ["slowdown_upper"] = cost.Upper / step });
                else
                    context.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"a snapshot in memory costs {cost.Seconds * 1000:F1} ms [{cost.Lower * 1000:F1}, {cost.Upper * 1000:F1}] (95 %, {cost.Pairs} pairs of steps of {cost.Step:F3} s), which is {cost.Seconds / step * 100:F2} % [{cost.Lower / step * 100:F2}, {cost.Upper / step * 100:F2}] of the step above"));
                return ExitCode.Done;
            }
            finally
            {
                manager.Retire();
                Directory.Delete(place, recursive: true);
            }
        });
    }
}
