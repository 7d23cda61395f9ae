using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Resilience.Restart;
using Perennial.Resilience.Simulation;

namespace Perennial.Resilience.Tests.Restart;

public sealed class RestartPolicyTests
{
    private static readonly RestartOptions Options = new() { Maximum = 1_000, Draws = 200 };

    // Attempts of p = 0.5, S = 60, F = 40, c = 1 under a detector, as the policy's mode lets them end.
    private static (RestartState State, double Seconds, int Successes) Play(RestartPolicy policy, RestartState state, Detector detector, int attempts, ulong seed)
    {
        var (random, seconds, successes) = (new RandomStream(seed, 9), 0.0, 0);
        for (var i = 0; i < attempts; i++)
        {
            var succeeds = random.Uniform() < 0.5;
            var full = (succeeds ? 60 : 40) * (0.5 + random.Uniform());
            var alarm = random.Uniform() < (succeeds ? detector.FalseAbort : detector.Recall);
            var action = policy.Check(state, alarm ? 0.9 : 0.1, 0.5, 12).Action;
            var record = action == RestartAction.Abort
                ? new AttemptRecord(12, null, 12, 1)
                : new AttemptRecord(full, succeeds, alarm ? 12 : null, 1, action == RestartAction.Shadow);
            seconds += record.Seconds + 1;
            if (record.Succeeded == true) successes++;
            state = policy.Finish(state, record);
        }
        return (state, seconds, successes);
    }

    [Fact]
    public void A_good_detector_is_adopted_and_pays_as_predicted()
    {
        var log = new List<string>();
        var policy = new RestartPolicy(Options, 1, log.Add);
        var (state, _, _) = Play(policy, RestartState.Begin(new(1)), new(0.8, 0.1, 12), 100, 1);
        Assert.Equal(RestartMode.Preempt, state.Mode);
        Assert.Contains(log, line => line.StartsWith("Monitor -> Preempt: aborting pays with probability", StringComparison.Ordinal));
        var (later, seconds, successes) = Play(policy, state, new(0.8, 0.1, 12), 400, 2);
        // Shadow runs cost a tenth of the saving of 19: 83.1 becomes about 85.
        Assert.InRange(seconds / successes, 79, 92);
        Assert.InRange(later.Attempts.Count(attempt => attempt.Shadow) / (double)later.Attempts.Count(attempt => attempt.Alarmed), 0.05, 0.20);
    }

    [Fact]
    public void Aborted_attempts_have_no_outcome_yet_the_estimates_stay_true()
    {
        var (p, recall, falseAbort, labelled) = (0.0, 0.0, 0.0, 0.0);
        const int repetitions = 8;
        for (var repetition = 0UL; repetition < repetitions; repetition++)
        {
            var policy = new RestartPolicy(Options with { Draws = 100, Leave = 0, Shadow = 0.4 }, repetition);
            var (state, _, _) = Play(policy, RestartState.Begin(new(1)) with { Mode = RestartMode.Preempt }, new(0.8, 0.1, 12), 250, 900 + repetition);
            var verdict = MakespanPosterior.Judge(state.Attempts, 100, repetition)!;
            p += verdict.Model.Success / repetitions;
            recall += verdict.Detector.Recall / repetitions;
            falseAbort += verdict.Detector.FalseAbort / repetitions;
            labelled += (double)verdict.Successes / (verdict.Successes + verdict.Failures) / repetitions;
        }
        Assert.Equal(0.5, p, 0.04);
        Assert.Equal(0.8, recall, 0.04);
        Assert.Equal(0.1, falseAbort, 0.05);
        // Counting only the attempts whose end is known would call success far too likely.
        Assert.True(labelled > 0.56);
    }

    [Fact]
    public void Coin_flips_are_declined_in_95_of_100_repetitions()
    {
        var adopted = 0;
        for (var repetition = 0UL; repetition < 200; repetition++)
        {
            var policy = new RestartPolicy(Options with { Draws = 200, Evidence = 1_000_000 }, repetition);
            var (state, _, _) = Play(policy, RestartState.Begin(new(1)), new(0.5, 0.5, 12), 60, repetition + 100);
            if (MakespanPosterior.Judge(state.Attempts, 300, repetition)!.Confidence >= 0.95) adopted++;
        }
        Assert.InRange(adopted, 0, 10);
    }

    [Fact]
    public void A_detector_that_goes_bad_is_left_only_below_the_lower_bound()
    {
        var policy = new RestartPolicy(Options, 3);
        var (state, _, _) = Play(policy, RestartState.Begin(new(1)), new(0.8, 0.1, 12), 120, 3);
        Assert.Equal(RestartMode.Preempt, state.Mode);
        var confidence = 1.0;
        for (var i = 0UL; i < 400 && state.Mode == RestartMode.Preempt; i++)
        {
            confidence = MakespanPosterior.Judge(state.Attempts, Options.Draws, 3)!.Confidence;
            Assert.True(confidence >= Options.Leave);
            (state, _, _) = Play(policy, state, new(0.2, 0.9, 30), 1, 50 + i);
        }
        Assert.Equal(RestartMode.Monitor, state.Mode);
        Assert.True(MakespanPosterior.Judge(state.Attempts, Options.Draws, 3)!.Confidence < Options.Leave);
    }

    [Fact]
    public void Nothing_is_said_before_both_ends_and_an_alarm_were_seen()
    {
        Assert.Null(MakespanPosterior.Judge([new(60, true), new(40, false)], 100, 1));
        Assert.Null(MakespanPosterior.Judge([new(60, true, 12), new(60, true)], 100, 1));
        Assert.NotNull(MakespanPosterior.Judge([new(60, true), new(40, false, 12)], 100, 1));
    }

    [Fact]
    public void A_restart_changes_the_draw_and_their_number_is_capped()
    {
        var policy = new RestartPolicy(new() { Change = ["seed", "skip-batches 200", "rate*0.7"], Maximum = 2 }, 1);
        var first = RestartState.Begin(new(7));
        var second = policy.Restart(first);
        Assert.NotEqual(7UL, second.Draw.Seed);
        Assert.Equal(200, second.Draw.SkippedBatches);
        Assert.Equal(0.7, second.Draw.RateFactor);
        var third = policy.Restart(second);
        Assert.Equal(3, third.Used.Distinct().Count());
        Assert.Equal(ExitCode.Failed, Assert.Throws<PerennialException>(() => policy.Restart(third)).Code);
        var live = policy.Check(third with { Mode = RestartMode.Preempt }, 0.99, 0.5, 3);
        Assert.Equal((RestartAction.Continue, true), (live.Action, live.Alarm));
        // Changes that cancel out lead back to the first draw.
        var circular = new RestartPolicy(new() { Change = ["rate*0.5", "rate*2"] }, 1);
        Assert.Contains("repeat", Assert.Throws<PerennialException>(() => circular.Restart(first)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{ change: [] }", "r:1:11: 'change' needs at least 1 item")]
    [InlineData("{ change: [sead] }", "r:1:11: 'change' has 'sead'")]
    [InlineData("{ change: [rate*1] }", "r:1:11: 'change' has 'rate*1'")]
    [InlineData("{ confidence: 0.6, leave: 0.7 }", "r:1:27: 'leave' is 0.7")]
    [InlineData("{ shadow: 0 }", "r:1:11: 'shadow' must be above 0")]
    public void A_recipe_that_cannot_work_is_refused_where_it_stands(string yaml, string message)
    {
        var binder = new RecipeBinder(ComponentRegistry.Scan([]));
        var error = Assert.Throws<PerennialException>(() => binder.Bind<RestartOptions>(RecipeDocument.Parse(yaml, "r")));
        Assert.StartsWith(message, error.Message, StringComparison.Ordinal);
        Assert.Equal(ExitCode.Usage, error.Code);
    }
}
