using System.Text.Json.Nodes;
using Perennial.Cli.Progress;
using Perennial.Training;

namespace Perennial.Cli.Tests;

public class ProgressTests
{
    private static readonly DateTimeOffset Noon = new(2026, 1, 1, 12, 0, 0, TimeSpan.Zero);

    [Fact]
    public void A_terminal_shows_a_bar_and_the_figures() => Assert.Equal(
        """
        ━━━━━━━━━━━━━━━━━━━───────────────────────────── 40 % 40/100 steps  30 s left
        loss 3.250 · held-out 1.834 bits/byte · 16.38k tokens/s · MFU 81.9 % · saved 5 steps ago · 20 s elapsed
        """,
        PlainConsole.Show(ProgressView.Render(AtForty(), Noon.AddSeconds(20), 120, unicode: true), 120));

    [Fact]
    public void A_poor_terminal_gets_ascii_and_no_line_is_wider_than_it()
    {
        var screen = PlainConsole.Show(ProgressView.Render(AtForty(), Noon.AddSeconds(20), 60, unicode: false), 60, unicode: false);
        Assert.All(screen, sign => Assert.InRange(sign, '\n', '~'));
        Assert.All(screen.Split('\n'), line => Assert.InRange(line.Length, 0, 60));
    }

    [Fact]
    public void A_log_gets_one_plain_line() => Assert.Equal(
        "step 40/100  loss 3.250  held-out 1.834 bits/byte  16.38k tokens/s  MFU 81.9 %  saved 5 steps ago  20 s elapsed  30 s left",
        ProgressView.Line(AtForty(), Noon.AddSeconds(20)));

    [Fact]
    public void Time_left_counts_what_this_process_did_itself()
    {
        var resumed = new RunProgress().After(Start(startStep: 50), Noon);
        Assert.True(double.IsNaN(resumed.SecondsLeft(Noon.AddSeconds(5))));
        for (var step = 51; step <= 60; step++) resumed = resumed.After(Step(step), Noon);
        Assert.Equal(40 * 2, resumed.SecondsLeft(Noon.AddSeconds(20)), 9);
    }

    [Fact]
    public void A_step_that_is_not_finite_does_not_spoil_the_figures()
    {
        var progress = AtForty().After(new StepDone(41, 1, double.NaN, double.NaN, 0, 0, 0), Noon);
        Assert.Equal(3.25, progress.Loss, 12);
        Assert.Equal(16384, progress.TokensPerSecond, 9);
    }

    [Fact]
    public void Of_several_weights_the_best_held_out_figure_is_shown()
    {
        var progress = AtForty().After(Evaluation(40, 1.9), Noon);
        Assert.Equal(1.834, progress.BitsPerByte);
        Assert.Equal(2.0, progress.After(Evaluation(50, 2.0), Noon).BitsPerByte);
    }

    [Fact]
    public void Without_a_terminal_lines_come_at_evaluations_warnings_and_the_end_only()
    {
        var plain = new PlainConsole(100);
        using var shown = new ConsoleProgress(plain.Console, live: false, new StillClock());
        shown.Observe(Start());
        for (var step = 1; step <= 40; step++) shown.Observe(Step(step));
        shown.Observe(Evaluation(40, 1.834));
        shown.Observe(new Notice("warning", "skipped a damaged checkpoint"));
        shown.Observe(new StepRefused(41, "loss is not finite", "skip", [1]));
        shown.Observe(Finish());
        Assert.Equal(
            """
            1M parameters, 100 steps of 8,192 tokens; run folder runs/a
            step 40/100  loss 3.250  held-out 1.834 bits/byte  16.38k tokens/s  MFU 81.9 %  saved 5 steps ago  0 s elapsed  0 s left
            warning: skipped a damaged checkpoint
            warning: step 41 refused: loss is not finite; skip
            ╭───────────────┬───────────────────────────────────────────────╮
            │ finished      │ 100 of 100 steps, 819.2k tokens, 0 s          │
            │ training loss │ 2.8500 nats a token                           │
            │ held-out text │ 1.7500 bits per byte                          │
            │   gzip -9     │ 2.9300 bits per byte for the same text        │
            │ speed         │ 16.38k tokens/s, 82 % of the measured ceiling │
            │ refused steps │ 1                                             │
            │ state hash    │ 00ff                                          │
            │ report        │ runs/a/report.html                            │
            │ checkpoints   │ runs/a/checkpoints                            │
            ╰───────────────┴───────────────────────────────────────────────╯
            """,
            plain.Screen);
    }

    [Fact]
    public void Drawing_live_ends_with_the_run_and_leaves_the_table()
    {
        var plain = new PlainConsole(100);
        using (var shown = new ConsoleProgress(plain.Console, live: true, new StillClock()))
        {
            shown.Observe(Start());
            shown.Observe(Step(1));
            shown.Observe(new Notice("info", "a [bracket] is text"));
            shown.Observe(Finish());
        }
        Assert.Contains("a [bracket] is text", plain.Screen, StringComparison.Ordinal);
        Assert.Contains("runs/a/report.html", plain.Screen, StringComparison.Ordinal);
    }

    private static RunProgress AtForty()
    {
        var progress = new RunProgress().After(Start(), Noon);
        for (var step = 1; step <= 40; step++) progress = progress.After(Step(step), Noon);
        return progress.After(Evaluation(40, 1.834), Noon);
    }

    private static RunStarted Start(long startStep = 0) => new("runs/a", "name: a", 1_000_000, 100, 8192, startStep, 6e6, 120e9, new JsonObject
    {
        ["yardsticks"] = new JsonArray(new JsonObject { ["name"] = "gzip -9", ["bytes"] = 66_000, ["bits_per_byte"] = 2.93 }),
    });

    private static StepDone Step(long step) => new(step, step * 8192, 3.25, 1, 1e-3, 0.5, 5);

    private static EvaluationDone Evaluation(long step, double bits) => new(step, "bits-per-byte", "raw", new Dictionary<string, double> { ["bits_per_byte"] = bits });

    private static RunFinished Finish() => new(new RunResult
    {
        Completed = true, Step = 100, Tokens = 819_200, Loss = 2.85, BitsPerByte = 1.75, TokensPerSecond = 16384, Mfu = 0.82, StateHash = "00ff",
    });

    private sealed class StillClock : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => Noon;
    }
}
