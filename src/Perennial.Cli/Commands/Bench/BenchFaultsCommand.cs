using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Cli.Launch;
using Perennial.Core;
using Perennial.Resilience.Groups;

namespace Perennial.Cli.Commands.Bench;

/// <summary><c>perennial bench faults</c>.</summary>
internal static class BenchFaultsCommand
{
    public static Command Create(CommandContext context)
    {
        var count = new Option<int>("--count") { Description = "Random faults in all.", DefaultValueFactory = _ => 100 };
        var seed = new Option<int>("--seed") { Description = "Key of every draw.", DefaultValueFactory = _ => 1 };
        var perRun = new Option<int>("--per-run") { Description = "Faults of one run.", DefaultValueFactory = _ => 25 };
        var steps = new Option<int>("--steps") { Description = "Steps of one run.", DefaultValueFactory = _ => 1500 };
        var every = new Option<int>("--every") { Description = "Mean milliseconds between faults.", DefaultValueFactory = _ => 1500 };
        var parallel = new Option<string?>("--parallel") { Description = "The recipe's parallel:, of four processes, as \"{ data: 2, pipeline: 2, zero: 1 }\"; by default four replicas." };
        var folder = new Option<string?>("--folder") { Description = "Where the runs stay; by default a temporary folder that goes away." };
        var json = CommandExtensions.Json();
        return new Command("faults", "Random faults on workers, nodes, managers, connections, disks and bits; every final state must be that of a run without faults.") { count, seed, perRun, steps, every, parallel, folder, json }.Does(parsed =>
        {
            if (parsed.GetValue(count) is < 1 or > 100_000) throw PerennialException.Usage("--count must be from 1 to 100000");
            if (parsed.GetValue(perRun) < 1 || parsed.GetValue(steps) < 10 || parsed.GetValue(every) < 50 || parsed.GetValue(seed) < 0) throw PerennialException.Usage("--per-run must be at least 1, --steps at least 10, --every at least 50, --seed at least 0");
            GlooLibrary.Load();
            using var place = new BenchPlace(parsed.GetValue(folder), "faults");
            var campaign = new FaultCampaign(new CampaignOptions
            {
                Count = parsed.GetValue(count), Seed = (ulong)parsed.GetValue(seed), FaultsPerRun = parsed.GetValue(perRun), Steps = parsed.GetValue(steps), Every = TimeSpan.FromMilliseconds(parsed.GetValue(every)), Parallel = parsed.GetValue(parallel), Folder = place.Folder, Text = place.Text,
            }, context.Error.WriteLine, context.Cancellation);
            return Run(context, campaign, parsed.GetValue(json));
        });
    }

    private static ExitCode Run(CommandContext context, FaultCampaign campaign, bool json)
    {
        var truth = campaign.Reference();
        if (!json) context.Out.WriteLine($"undisturbed: {truth.Hash}");
        var runs = new List<CampaignRun>();
        foreach (var run in campaign.Runs())
        {
            runs.Add(run);
            if (json) context.Out.WriteJson(new JsonObject { ["event"] = "campaign-run", ["run"] = run.Number, ["faults"] = Table(run.Faults), ["answers"] = Table(run.Answers), ["unexplained"] = new JsonArray([.. run.Unexplained.Select(text => (JsonNode)text)]), ["hung"] = run.Hung, ["restarts"] = run.Restarts, ["wrong_steps"] = run.WrongSteps, ["equal"] = run.Hash == truth.Hash, ["deviation"] = double.IsFinite(run.Deviation) ? run.Deviation : null, ["seconds"] = run.Seconds });
            else context.Out.WriteLine($"run {run.Number}: {run.Faults.Values.Sum()} faults ({Words(run.Faults)}) → {Words(run.Answers)}; {(run.Hung ? "HUNG" : run.Hash is null ? "ENDED WITH AN ERROR" : run.Hash == truth.Hash ? "the same final state" : campaign.Diverges(run) ? $"ANOTHER FINAL STATE {run.Hash}, losses off by up to {run.Deviation:G2}" : $"the same losses but for rounding ({run.Deviation:G2})")}; {run.Seconds:F0} s");
        }
        var (faults, diverged, hangs, ended) = (runs.Sum(run => run.Faults.Values.Sum()), runs.Count(campaign.Diverges), runs.Count(run => run.Hung), runs.Count(run => !run.Hung && run.Hash is null));
        var (unexplained, wrong) = (runs.Sum(run => run.Unexplained.Count), runs.Sum(run => run.WrongSteps));
        if (json) context.Out.WriteJson(new JsonObject { ["event"] = "bench", ["name"] = "faults", ["faults"] = faults, ["divergences"] = diverged, ["hangs"] = hangs, ["ended"] = ended, ["unexplained"] = unexplained, ["wrong_steps"] = wrong, ["seconds"] = runs.Sum(run => run.Seconds) });
        else context.Out.WriteLine($"{faults} faults in {runs.Count} runs: {diverged} silent divergences, {hangs} hangs, {ended} runs that did not come to their end, {unexplained} recoveries without a word, {wrong} steps with wrong samples; {runs.Sum(run => run.Seconds):F0} s");
        return diverged + hangs + ended + unexplained + wrong == 0 ? ExitCode.Done : ExitCode.Failed;
    }

    private static JsonObject Table(IReadOnlyDictionary<string, int> counts) => new(counts.Select(pair => KeyValuePair.Create<string, JsonNode?>(pair.Key, pair.Value)));

    private static string Words(IReadOnlyDictionary<string, int> counts) => counts.Count == 0 ? "none" : string.Join(", ", counts.Select(pair => $"{pair.Value} {pair.Key}"));
}
