namespace Perennial.EndToEnd;

/// <summary>From text to an evaluated model in Hugging Face layout, through the command line alone.</summary>
public class JourneyTests
{
    [Fact]
    public void Train_evaluate_score_generate_and_inspect()
    {
        using var place = new Workplace();
        var recipe = place.Recipe();
        var (code, output, error) = Cli.Run("train", recipe, "--run", place["run"], "--json");
        Assert.True(code == 0, error);
        var done = Cli.LastLine(output);
        Assert.All(new[] { "step", "tokens", "loss", "bits_per_byte", "tokens_per_second", "mfu", "state_hash" }, key => Assert.NotNull(done[key]));
        foreach (var file in new[] { "recipe.yaml", "metrics.jsonl", "report.html", "log.txt", "checkpoints/step-40/config.json", "checkpoints/step-40/model.safetensors", "checkpoints/step-40/tokenizer.json", "checkpoints/step-40/manifest.json" })
            Assert.True(File.Exists(Path.Combine(place["run"], file)), file);
        Assert.Single(Directory.GetFiles(place["run"], "events.out.tfevents.*"));

        var text = place.Write("other.txt", "It was a fine morning, and every body was walking to the pump-room.\n");
        (code, output, error) = Cli.Run("evaluate", place["run"], "--text", text, "--json");
        Assert.True(code == 0, error);
        Assert.InRange((double)Cli.LastLine(output)["bits_per_byte"]!, 0.5, 12);

        (code, output, error) = Cli.Run("score", place["run"], "--text", text, "--json");
        Assert.True(code == 0, error);
        var scores = Cli.LastLine(output);
        Assert.Equal(scores["token_ids"]!.AsArray().Count, scores["log_probabilities"]!.AsArray().Count);
        Assert.Null(scores["log_probabilities"]![0]);

        var first = Cli.Run("generate", place["run"], "--prompt", "It was", "--tokens", "20", "--seed", "3", "--json");
        Assert.True(first.Code == 0, first.Error);
        Assert.Equal(first.Out, Cli.Run("generate", place["run"], "--prompt", "It was", "--tokens", "20", "--seed", "3", "--json").Out);

        Assert.Equal(0, Cli.Run("checkpoint", "verify", place["run"]).Code);
        Assert.Equal(0, Cli.Run("checkpoint", "inspect", place["run"], "--json").Code);
        Assert.Equal(0, Cli.Run("checkpoint", "average", place["run"], "--out", place["mean"]).Code);
        Assert.Equal(0, Cli.Run("checkpoint", "diff", place["run"], place["mean"]).Code);
        Assert.Equal(0, Cli.Run("train", recipe, "--dry-run").Code);
    }

    [Theory]
    [InlineData("spelling: 1", "", "unknown key 'spelling'")]
    [InlineData("seed: many", "", "'seed' must be a whole number")]
    [InlineData("optimizer: { kind: adamw, rate: -1 }", "", "'rate' must be from 0")]
    [InlineData("objective: causl", "", "did you mean 'causal'")]
    [InlineData("", "holdout: 2", "'holdout' must be from 0")]
    [InlineData("", "order: { kind: curriculum, by: quality }", "quality")]
    public void Bad_recipes_are_met_at_the_door(string more, string data, string expected)
    {
        using var place = new Workplace();
        var (code, output, error) = Cli.Run("train", place.Recipe(more, data), "--run", place["run"], "--json");
        Assert.Equal(2, code);
        Assert.Contains(expected, error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(place["run"]), output);
    }

    [Theory]
    [InlineData(new[] { "train", "nowhere.yaml" }, 2)]
    [InlineData(new[] { "trian" }, 2)]
    [InlineData(new[] { "train" }, 2)]
    [InlineData(new[] { "evaluate", "/nowhere" }, 2)]
    [InlineData(new[] { "papers", "run", "52" }, 2)]
    [InlineData(new[] { "papers", "list" }, 0)]
    [InlineData(new[] { "components" }, 0)]
    [InlineData(new[] { "schema" }, 0)]
    [InlineData(new[] { "--help" }, 0)]
    public void Exit_codes_are_the_designs(string[] arguments, int expected)
    {
        var (code, output, error) = Cli.Run(arguments);
        Assert.True(code == expected, $"{code}: {output} {error}");
        Assert.DoesNotContain("   at ", error, StringComparison.Ordinal);
    }
}
