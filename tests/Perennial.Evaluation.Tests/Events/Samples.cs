using System.Text.Json.Nodes;
using Perennial.Training;

namespace Perennial.Evaluation.Tests;

/// <summary>A small run, told as events.</summary>
internal static class Samples
{
    public static RunStarted Start(string folder, long startStep = 0, long totalSteps = 100) => new(
        folder, "name: sample\nseed: 1\n", 1_000_000, totalSteps, 8192, startStep, 6e6, 120e9,
        new JsonObject
        {
            ["environment"] = new JsonObject { ["processor"] = "A <fast> one", ["threads"] = 2, ["memory_bytes"] = 24L << 30 },
            ["data"] = new JsonObject { ["fingerprint"] = "ab12", ["held_out_bytes"] = 180_000 },
            ["yardsticks"] = new JsonArray(
                new JsonObject { ["name"] = "gzip -9", ["bytes"] = 66_000, ["bits_per_byte"] = 2.93 },
                new JsonObject { ["name"] = "xz -9e", ["missing"] = "not measured: no xz program on the PATH" }),
        });

    public static StepDone Step(long step) => new(step, step * 8192, 8.5 / Math.Sqrt(step) + 2, 1 + 1.0 / step, 1e-3 * Math.Min(1, step / 10.0), 0.5, step % 10);

    public static EvaluationDone Evaluation(long step, string weights = "raw") => new(
        step, "bits-per-byte", weights, new Dictionary<string, double> { ["bits_per_byte"] = 2 + 3.0 / step, ["loss"] = 4.25 });

    public static RunFinished Finish(long step, bool completed = true) => new(new RunResult
    {
        Completed = completed, Step = step, Tokens = step * 8192, Loss = 2.85, BitsPerByte = 2.03, TokensPerSecond = 16384, Mfu = 0.82, StateHash = "00ff",
    });

    /// <summary>One of every kind.</summary>
    public static IEnumerable<RunEvent> EveryKind(string folder)
    {
        yield return Start(folder);
        yield return new Notice("info", "starting afresh");
        yield return Step(1);
        yield return new StepRefused(2, "gradient norm 80.1 is 12 sigma above its mean", "skip", [3, 1L << 48 | 7]);
        yield return Step(2);
        yield return Evaluation(2);
        yield return new SampleWritten(2, "It is", " a \"truth\" \\ universally\nacknowledged — ü");
        yield return new CheckpointWritten(2, "checkpoints/step-2", 12_345_678, 0.25);
        yield return new GraphLearned(0, [[1, 0.5], [0, 1]], 150);
        yield return new MixtureChosen(2, 128, [0.75, 0.25], [3.25, 2.5], 0.8113);
        yield return new MixtureMeasured(2, [new MixtureShare("austen", 0.75, 0.7504, 12_000, 1.25), new MixtureShare("noise", 0.25, 0.2496, 4_000)]);
        yield return Finish(2);
    }
}
