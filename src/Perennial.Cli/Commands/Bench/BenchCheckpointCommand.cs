using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Tensors;
using Perennial.Training.Bench;

namespace Perennial.Cli.Commands.Bench;

/// <summary><c>perennial bench checkpoint</c>.</summary>
internal static class BenchCheckpointCommand
{
    public static Command Create(CommandContext context)
    {
        var size = new Option<int>("--size") { Description = "Mebibytes of training state (weights and two slots).", DefaultValueFactory = _ => 384 };
        var repetitions = new Option<int>("--repetitions") { Description = "Measurements of each; the median counts.", DefaultValueFactory = _ => 5 };
        var folder = new Option<string?>("--folder") { Description = "Where: a folder on the disk that is meant. The system's place for temporary files by default." };
        var json = CommandExtensions.Json();
        return new Command("checkpoint", "Saving, loading, reshaping and converting checkpoints, over the rate of a file copy in the same run.") { size, repetitions, folder, json }.Does(parsed =>
        {
            if (parsed.GetValue(size) is < 32 or > 65536) throw PerennialException.Usage("--size must be from 32 to 65536");
            if (parsed.GetValue(repetitions) is < 1 or > 1000) throw PerennialException.Usage("--repetitions must be from 1 to 1000");
            TorchRuntime.Initialize();
            var place = Path.Combine(parsed.GetValue(folder) ?? Path.GetTempPath(), $"perennial-bench-{Guid.NewGuid():N}");
            if (!parsed.GetValue(json)) context.Out.WriteLine($"{"",-42}{"MiB",8}{"ms",10}{"MB/s",10}{"/ copy",9}{"peak MiB",10}");
            CheckpointBench.Measure(place, parsed.GetValue(size), parsed.GetValue(repetitions), timing =>
            {
                if (parsed.GetValue(json))
                    context.Out.WriteJson(new JsonObject { ["event"] = "bench", ["name"] = timing.Name, ["bytes"] = timing.Bytes, ["seconds"] = timing.Seconds, ["bytes_per_second"] = timing.Bytes / timing.Seconds, ["of_copy"] = timing.OfCopy, ["peak_bytes"] = timing.PeakBytes });
                else
                    context.Out.WriteLine($"{timing.Name,-42}{timing.Bytes >> 20,8}{timing.Seconds * 1e3,10:F0}{timing.Bytes / timing.Seconds / 1e6,10:F0}{timing.OfCopy,9:F2}{timing.PeakBytes / 1048576.0,10:F1}");
            });
            return ExitCode.Done;
        });
    }
}
