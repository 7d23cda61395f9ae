using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Resilience.Coding;

namespace Perennial.Cli.Commands.Bench;

/// <summary><c>perennial bench parity</c>.</summary>
internal static class BenchParityCommand
{
    public static Command Create(CommandContext context)
    {
        var mebibytes = new Option<int>("--chunk") { Description = "MiB of one chunk.", DefaultValueFactory = _ => 64 };
        var rounds = new Option<int>("--rounds") { Description = "Rounds; every line is timed once in each, and the median counts.", DefaultValueFactory = _ => 7 };
        var json = CommandExtensions.Json();
        return new Command("parity", "Erasure codes that protect snapshots, against the machine's memory copy in the same run.") { mebibytes, rounds, json }.Does(parsed =>
        {
            if (parsed.GetValue(mebibytes) is < 1 or > 4096) throw PerennialException.Usage("--chunk must be from 1 to 4096");
            if (parsed.GetValue(rounds) is < 1 or > 1000) throw PerennialException.Usage("--rounds must be from 1 to 1000");
            foreach (var line in ParityBench.Run(new ParityBenchOptions { ChunkBytes = (long)parsed.GetValue(mebibytes) << 20, Rounds = parsed.GetValue(rounds) }))
            {
                if (parsed.GetValue(json))
                    context.Out.WriteJson(new JsonObject { ["event"] = "bench", ["name"] = line.Name, ["threads"] = line.Threads, ["data_bytes_per_second"] = line.DataBytesPerSecond, ["moved_bytes_per_second"] = line.MovedBytesPerSecond, ["of_copy"] = line.OfCopy });
                else
                    context.Out.WriteLine(line);
            }
            return ExitCode.Done;
        });
    }
}
