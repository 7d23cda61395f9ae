using Perennial.Core;

namespace Perennial.Optimization.Tests;

public class ScheduleTests
{
    private static readonly RunLength Ten = new(10, RunUnit.Steps);

    private static double[] Curve(ISchedule schedule) => [.. Enumerable.Range(0, 100).Select(step => schedule.Factor(step, new SchedulePlan(100, 8)))];

    [Fact]
    public void Warmup_rises_in_equal_steps_to_the_peak()
    {
        foreach (var curve in new[]
                 {
                     Curve(new ConstantSchedule(new ConstantScheduleOptions { Warmup = Ten })),
                     Curve(new LinearSchedule(new LinearScheduleOptions { Warmup = Ten })),
                     Curve(new CosineSchedule(new CosineScheduleOptions { Warmup = Ten })),
                     Curve(new WsdSchedule(new WsdScheduleOptions { Warmup = Ten })),
                     Curve(new InverseSqrtSchedule(new InverseSqrtScheduleOptions { Warmup = Ten })),
                 })
            Assert.All(Enumerable.Range(0, 10), step => Assert.Equal((step + 1) / 10.0, curve[step], 1e-12));
    }

    [Fact]
    public void Closed_forms()
    {
        Assert.Equal(0.1 + 0.9 * (1 - 45 / 90.0), new LinearSchedule(new LinearScheduleOptions { Warmup = Ten, Final = 0.1 }).Factor(55, new SchedulePlan(100, 8)), 1e-12);
        Assert.Equal(0.1 + 0.9 * (1 + Math.Cos(Math.PI * 30 / 90)) / 2, new CosineSchedule(new CosineScheduleOptions { Warmup = Ten, Final = 0.1 }).Factor(40, new SchedulePlan(100, 8)), 1e-12);
        Assert.Equal(Math.Sqrt(10 / 41.0), new InverseSqrtSchedule(new InverseSqrtScheduleOptions { Warmup = Ten }).Factor(40, new SchedulePlan(100, 8)), 1e-12);
        Assert.Equal(0.9, new InverseSqrtSchedule(new InverseSqrtScheduleOptions { Warmup = Ten, Final = 0.9 }).Factor(99, new SchedulePlan(100, 8)), 1e-12);
        Assert.Equal(1, new ConstantSchedule(new ConstantScheduleOptions()).Factor(0, new SchedulePlan(100, 8)));
    }

    [Theory]
    [InlineData(DecayShape.Linear, 0.5)]
    [InlineData(DecayShape.OneMinusSqrt, 1 - 0.70710678118654757)]
    [InlineData(DecayShape.Cosine, 0.5)]
    public void Wsd_is_flat_then_falls_by_its_shape(DecayShape shape, double halfway)
    {
        var curve = Curve(new WsdSchedule(new WsdScheduleOptions { Warmup = Ten, Decay = new(0.2, RunUnit.Fraction), Shape = shape, Final = 0.1 }));
        Assert.All(curve[10..81], factor => Assert.Equal(1, factor, 1e-12));
        Assert.Equal(0.1 + 0.9 * halfway, curve[90], 1e-12);
        Assert.True(curve[99] > 0.1 && curve[99] < 0.2);
        Assert.All(curve[81..].Zip(curve[80..]), pair => Assert.True(pair.First < pair.Second));
    }

    [Fact]
    public void Factors_stay_between_the_floor_and_one_even_when_warmup_and_decay_exceed_the_run()
    {
        var schedule = new WsdSchedule(new WsdScheduleOptions { Warmup = new(80, RunUnit.Steps), Decay = new(80, RunUnit.Steps), Final = 0.2 });
        Assert.All(Curve(schedule), factor => Assert.InRange(factor, 1 / 80.0, 1));
    }

    [Fact]
    public void Lengths_in_tokens_count_tokens()
    {
        var schedule = new ConstantSchedule(new ConstantScheduleOptions { Warmup = new(80, RunUnit.Tokens) });
        Assert.Equal(0.5, schedule.Factor(4, new SchedulePlan(100, 8)));
    }
}
