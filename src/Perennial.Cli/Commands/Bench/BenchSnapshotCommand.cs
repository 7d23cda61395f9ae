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
        var rounds = new Option<int>("--rounds") { Description = "Rounds; each times two steps with snapshots between two without, and one with each way on disk; the slowdown is the median over rounds, its quartiles beside.", DefaultValueFactory = _ => 8 };
        var rows = new Option<int>("--rows") { Description = "Sequences of 256 tokens a step.", DefaultValueFactory = _ => 16 };
        var folder = new Option<string?>("--folder") { Description = "A folder on the disk that checkpoints are measured on; the temporary folder by default." };
        var json = CommandExtensions.Json();
        return new Command("snapshot", "A snapshot of a 25 M-parameter model's state after every step, against checkpoints on disk as often, in the same run.") { rounds, rows, folder, json }.Does(parsed =>
        {
            if (parsed.GetValue(rounds) is < 1 or > 100) throw PerennialException.Usage("--rounds must be from 1 to 100");
            if (parsed.GetValue(rows) is < 1 or > 1024) throw PerennialException.Usage("--rows must be from 1 to 1024");
            TorchRuntime.Initialize();
            var run = Guid.NewGuid();
            var place = Path.Combine(parsed.GetValue(folder) ?? Path.GetTempPath(), $"perennial-bench-{run:N}");
            Directory.CreateDirectory(place);
            using var manager = new NodeManager(run, "bench");
            try
            {
                manager.Start();
                manager.Await(TimeSpan.FromSeconds(30));
                var results = SnapshotBench.Run(new SnapshotBenchOptions { RunId = run, Manager = manager.Endpoint, Folder = place, Rounds = parsed.GetValue(rounds), Rows = parsed.GetValue(rows) });
                if (!parsed.GetValue(json)) context.Out.WriteLine($"{results[0].Parameters:N0} parameters, {results.Max(result => result.Bytes) >> 20} MiB of state kept after every step; disk: {place}");
                foreach (var result in results)
                {
                    var mode = OptionNames.ToKey(result.Mode.ToString());
                    if (parsed.GetValue(json))
                        context.Out.WriteJson(new JsonObject { ["event"] = "bench", ["mode"] = mode, ["step_seconds"] = result.Step, ["over_plain"] = result.OverPlain, ["slowdown"] = result.OverPlain - 1, ["slowdown_lower_quartile"] = result.LowerQuartile - 1, ["slowdown_upper_quartile"] = result.UpperQuartile - 1, ["wait_seconds"] = result.Wait, ["bytes"] = result.Bytes, ["parameters"] = result.Parameters });
                    else
                        context.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{mode,-18} {result.Step,7:F3} s a step, {(result.OverPlain - 1) * 100,7:F2} % slower [{(result.LowerQuartile - 1) * 100:F2}, {(result.UpperQuartile - 1) * 100:F2}], standing still {result.Wait * 1000,7:F1} ms"));
                }
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
