using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Data;
using Perennial.Data.Benchmarks;
using Perennial.Data.Sources;

namespace Perennial.Cli.Commands.Bench;

/// <summary><c>perennial bench data</c>.</summary>
internal static class BenchDataCommand
{
    public static Command Create(CommandContext context)
    {
        var text = new Option<string>("--text") { Description = "Prose to measure with.", DefaultValueFactory = _ => Path.Combine("corpus", "austen") };
        var megabytes = new Option<int>("--megabytes") { Description = "Size of the measured text.", DefaultValueFactory = _ => 32 };
        var rounds = new Option<int>("--rounds") { Description = "Rounds; the median counts.", DefaultValueFactory = _ => 3 };
        var json = CommandExtensions.Json();
        return new Command("data", "The data engine's operators on one core, with the machine's own limits and what is asked for beside.") { text, megabytes, rounds, json }.Does(parsed =>
        {
            if (parsed.GetValue(megabytes) is < 1 or > 1000) throw PerennialException.Usage("--megabytes must be from 1 to 1000");
            if (parsed.GetValue(rounds) is < 1 or > 100) throw PerennialException.Usage("--rounds must be from 1 to 100");
            using var prose = new MemoryStream();
            foreach (var document in DocumentSource.Read(new SourceOptions { Path = parsed.GetValue(text)! }, context.Cancellation).ToBlockingEnumerable(context.Cancellation)) prose.Write(document.Text.Span);
            var holds = true;
            foreach (var line in DataBench.Run(prose.ToArray(), parsed.GetValue(megabytes), parsed.GetValue(rounds), context.Cancellation))
            {
                holds &= line.Holds != false;
                if (parsed.GetValue(json)) context.Out.WriteJson(new JsonObject { ["event"] = "bench", ["name"] = line.Name, ["megabytes_per_second"] = line.MegabytesPerSecond, ["limit"] = line.Limit, ["holds"] = line.Holds });
                else context.Out.WriteLine(line);
            }
            return holds ? ExitCode.Done : ExitCode.Failed;
        });
    }
}
