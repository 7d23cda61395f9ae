namespace Perennial.EndToEnd;

/// <summary>Whatever stops the process, the same command goes on to the same bits.</summary>
public class ResumeTests
{
    private static string Train(string recipe, string run, params string[] more)
    {
        var (code, output, error) = Cli.Run(["train", recipe, "--run", run, "--json", .. more]);
        Assert.True(code == 0, error);
        var done = Cli.LastLine(output);
        Assert.Equal("done", (string?)done["event"]);
        return (string)done["state_hash"]!;
    }

    [Fact]
    public void A_killed_run_ends_like_one_that_was_let_through()
    {
        using var place = new Workplace();
        var recipe = place.Recipe("practices: [{ kind: ema, decay: 0.9 }, { kind: average, last: 3, every: 4 steps }]", steps: 100);
        var expected = Train(recipe, place["through"]);
        for (var kill = 0; kill < 3; kill++)
        {
            using var process = Cli.Start("train", recipe, "--run", place["killed"], "--json");
            // Wait for progress, so that every kill falls into training, at another place each time.
            for (var lines = 0; lines < 20 + 10 * kill && process.StandardOutput.ReadLine() is not null;) lines++;
            process.Kill();
            process.WaitForExit();
        }
        Assert.Equal(expected, Train(recipe, place["killed"]));
    }

    [Fact]
    public void Damaged_checkpoints_are_passed_over()
    {
        using var place = new Workplace();
        var recipe = place.Recipe();
        var expected = Train(recipe, place["run"]);
        var checkpoints = Directory.GetDirectories(place["run/checkpoints"]).OrderBy(folder => int.Parse(folder.Split('-')[^1], System.Globalization.CultureInfo.InvariantCulture)).ToList();
        var weights = Path.Combine(checkpoints[^1], "model.safetensors");
        var bytes = File.ReadAllBytes(weights);
        bytes[^5] ^= 1;
        File.WriteAllBytes(weights, bytes);
        Directory.CreateDirectory(Path.Combine(place["run/checkpoints"], "step-99.partial"));
        Directory.CreateDirectory(Path.Combine(place["run/checkpoints"], "step-98"));
        var (code, output, error) = Cli.Run("train", recipe, "--run", place["run"], "--json");
        Assert.True(code == 0, error);
        Assert.Equal(expected, (string)Cli.LastLine(output)["state_hash"]!);
        Assert.Contains("does not match its checksum", output, StringComparison.Ordinal);
        Assert.Contains("resuming from", output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_changed_recipe_is_refused_and_a_fresh_start_is_not()
    {
        using var place = new Workplace();
        var recipe = place.Recipe(steps: 10);
        var first = Train(recipe, place["run"]);
        var (code, _, error) = Cli.Run("train", recipe, "--run", place["run"], "--set", "optimizer.rate=0.5", "--set", "optimizer.kind=adamw");
        Assert.Equal(2, code);
        Assert.Contains("optimizer.rate", error, StringComparison.Ordinal);
        Assert.NotEqual(first, Train(recipe, place["run"], "--fresh", "--set", "seed=5"));
    }

    [Fact]
    public void Verify_resume_proves_it_on_the_users_own_recipe()
    {
        using var place = new Workplace();
        var (code, output, error) = Cli.Run("verify-resume", place.Recipe(), "--json");
        Assert.True(code == 0, error);
        Assert.True((bool)Cli.LastLine(output)["exact"]!);
    }
}
