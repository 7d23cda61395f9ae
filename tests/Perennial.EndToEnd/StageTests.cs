namespace Perennial.EndToEnd;

/// <summary>Runs of stages, killed and looked at from outside.</summary>
public class StageTests
{
    private static string Recipe(Workplace place)
    {
        var english = place.Write("en.txt", File.ReadAllText(Path.Combine(Cli.Root, "corpus/scripture/en.txt"))[..90_000]);
        var spanish = place.Write("es.txt", File.ReadAllText(Path.Combine(Cli.Root, "corpus/scripture/es.txt"))[..90_000]);
        return place.Write("stages.yaml", $$"""
            name: stages
            data: { tokenizer: { kind: bpe, vocabulary: 320 }, cache: {{place["cache"]}} }
            model: { kind: llama, layers: 1, width: 32, heads: 2, context: 32 }
            training: { batch: 4, precision: float32, threads: 1 }
            schedule: { kind: constant }
            resilience: { checkpoint: 25 steps, keep: 2 }
            evaluation: { every: 0 steps, tokens: 500, prompts: [], probes: [2 steps, 10 steps] }
            practices: [{ kind: replay, rate: 0.25, keep: reservoir, capacity: 64 }, { kind: reptile, every: 10 steps, rate: 0.5 }, { kind: si }]
            stages:
              - { name: english, data: { sources: [{ path: {{english}}, split: paragraph }] }, steps: 120 }
              - { name: finish, data: { sources: [{ path: {{english}}, split: paragraph }] }, steps: 40, branch: true, schedule: { kind: infinite, constant: 1, anneal: 100% } }
              - { name: spanish, data: { sources: [{ path: {{spanish}}, split: paragraph }] }, steps: 140, practices: [{ kind: replay, rate: 0.25, keep: reservoir, capacity: 64 }, { kind: ewc, samples: 16 }, { kind: rwalk }] }
            """);
    }

    private static string Train(string recipe, string run)
    {
        var (code, output, error) = Cli.Run("train", recipe, "--run", run, "--json");
        Assert.True(code == 0, error);
        return (string)Cli.LastLine(output)["state_hash"]!;
    }

    [Fact]
    public void A_run_of_stages_killed_anywhere_ends_with_the_same_bits_and_the_same_matrix()
    {
        using var place = new Workplace();
        var recipe = Recipe(place);
        var expected = Train(recipe, place["through"]);
        for (var kill = 0; kill < 3; kill++)
        {
            using var process = Cli.Start("train", recipe, "--run", place["killed"], "--json");
            for (var lines = 0; lines < 45 + 55 * kill && process.StandardOutput.ReadLine() is not null;) lines++;
            process.Kill();
            process.WaitForExit();
        }
        Assert.Equal(expected, Train(recipe, place["killed"]));
        var matrices = new[] { "through", "killed" }.Select(run => Cli.Run("evaluate", place[run], "--stages", "--json")).ToList();
        Assert.All(matrices, matrix => Assert.True(matrix.Code == 0, matrix.Error));
        Assert.Equal(matrices[0].Out, matrices[1].Out);
        Assert.Equal(2, Cli.LastLine(matrices[0].Out)["rows"]!.AsArray().Count);
        Assert.True(File.Exists(place["killed/stages/2-finish/model.safetensors"]));
        Assert.Contains("stability gap", Cli.Run("evaluate", place["through"], "--stages").Out, StringComparison.Ordinal);
        Assert.Contains("What every stage did to every text", File.ReadAllText(place["killed/report.html"]), StringComparison.Ordinal);
    }

    [Fact]
    public void Mistakes_in_stages_are_told_with_their_place_and_cure()
    {
        using var place = new Workplace();
        var recipe = Recipe(place);
        void Refused(string word, params string[] changes)
        {
            var (code, _, error) = Cli.Run(["train", recipe, "--run", place["none"], "--json", .. changes.SelectMany(change => new[] { "--set", change })]);
            Assert.True(code == 2, error);
            Assert.Contains(word, error, StringComparison.Ordinal);
            Assert.False(Directory.Exists(place["none"]));
        }
        Refused("did you mean 'schedule'", "stages.1.shedule=cosine");
        Refused("is there twice", "stages.2.name=english");
        Refused("give one of them", "stages.2.tokens=5k");
        Refused("cannot be a branch", "stages.0.branch=true");
        Refused("only the first stage", "stages.1={ name: finish, from: runs/nowhere }");
        Refused("no such folder", $"stages.0={{ name: english, data: {{ sources: [{{ path: {place["en.txt"]} }}] }}, from: {place["nowhere"]} }}");
        Refused("leave no row", "stages.2={ name: spanish, tokens: 9k, practices: [{ kind: replay, rate: 0.6 }, { kind: replay, rate: 0.5 }] }");
        var (code, _, error) = Cli.Run("evaluate", place.Path, "--stages");
        Assert.Equal(2, code);
        Assert.Contains("is no run of stages", error, StringComparison.Ordinal);
    }
}
