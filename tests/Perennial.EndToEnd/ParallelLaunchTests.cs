using System.Text.Json.Nodes;
using Perennial.Resilience.Groups;

namespace Perennial.EndToEnd;

/// <summary>Real processes under <c>parallel:</c>, and what their checkpoints are good for.</summary>
public class ParallelLaunchTests
{
    private static void NeedsGloo() => Assert.SkipUnless(GlooLibrary.WhyMissing() is null, GlooLibrary.WhyMissing() ?? "");

    private static (string Out, string Error) Runs(params string[] arguments)
    {
        var (code, output, error) = Cli.Run(arguments);
        Assert.True(code == 0, $"{string.Join(' ', arguments)}: {code}\n{output}\n{error}");
        return (output, error);
    }

    [Fact]
    public void A_run_changes_its_shape_and_its_checkpoints_serve_everyone()
    {
        NeedsGloo();
        using var place = new Workplace();
        var recipe = place.Recipe("schedule: { kind: constant }", steps: 50);
        var alone = Cli.LastLine(Runs("train", recipe, "--run", place["alone"], "--json").Out);
        string[] Steps(int to) => ["--json", "--set", $"training.steps={to}"];
        Runs(["launch", "--workers", "4", recipe, "--run", place["run"], "--set", "parallel.data=2", "--set", "parallel.tensor=2", "--set", "parallel.zero=1", .. Steps(5)]);
        Assert.Contains("data=2,tensor=2,pipeline=1,zero=1: 4 files", Runs("checkpoint", "inspect", place["run"]).Out, StringComparison.Ordinal);
        Assert.Contains("whole", Runs("checkpoint", "verify", place["run"]).Out, StringComparison.Ordinal);
        Runs("checkpoint", "convert", place["run"], "--out", place["hf"]);
        Runs("checkpoint", "convert", place["run"], "--out", place["cut"], "--to", "tensor=2");
        Assert.Contains("slot adamw.first-moment", Runs("checkpoint", "diff", place["cut"], place["run"]).Out, StringComparison.Ordinal);
        var text = place.Write("say.txt", "It is a truth universally acknowledged.");
        Assert.Equal(Scores(place["hf"]), Scores(place["run"]));
        var (output, error) = Runs(["launch", "--workers", "2", recipe, "--run", place["run"], "--set", "parallel.data=2", "--set", "parallel.zero=3", "--chaos", "kill=@20,seed=1", "--set", "resilience.checkpoint=1000 steps", .. Steps(50)]);
        Assert.Contains("resuming from", output, StringComparison.Ordinal);
        // One process of two is left, and goes on at once with what both had kept.
        Assert.Contains("; data=1,tensor=1,pipeline=1,zero=3 has what was kept of data=2,tensor=1,pipeline=1,zero=3; going on as data=1,tensor=1,pipeline=1,zero=3", output, StringComparison.Ordinal);
        Assert.Contains("none lost, none twice", error, StringComparison.Ordinal);
        Assert.Equal((double)alone["loss"]!, (double)Cli.LastLine(output)["loss"]!, 1e-3);
        Assert.Equal((double)alone["bits_per_byte"]!, (double)Cli.LastLine(output)["bits_per_byte"]!, 1e-3);

        string Scores(string checkpoint) => string.Join('\n', Runs("score", checkpoint, "--text", text, "--json").Out.Split('\n').Select(line => line[(line.IndexOf("token_ids", StringComparison.Ordinal) + 1)..]));
    }

    [Fact]
    public void Wrong_numbers_of_workers_are_refused_before_anything_is_touched()
    {
        using var place = new Workplace();
        var recipe = place.Recipe("parallel: { data: 2, tensor: 2 }");
        foreach (var arguments in new string[][] { ["launch", "--workers", "3", recipe, "--run", place["run"]], ["train", recipe, "--run", place["run"]] })
        {
            var (code, _, error) = Cli.Run(arguments);
            Assert.True(code == 2, error);
            Assert.Contains("perennial launch --workers 4", error, StringComparison.Ordinal);
            Assert.False(Directory.Exists(place["run"]));
        }
    }
}
