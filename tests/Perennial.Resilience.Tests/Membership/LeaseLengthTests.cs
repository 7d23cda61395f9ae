using Perennial.Resilience.Membership;

namespace Perennial.Resilience.Tests.Membership;

public sealed class LeaseLengthTests
{
    private static readonly TimeSpan Usual = TimeSpan.FromMilliseconds(500);

    private static TimeSpan After(params (double At, double Pause)[] beats)
    {
        var length = new LeaseLength(Usual);
        foreach (var (at, pause) in beats) length.Add(TimeSpan.FromSeconds(at), TimeSpan.FromSeconds(pause));
        return length.Value;
    }

    [Fact]
    public void BeatsInTimeKeepTheUsualLease() => Assert.Equal(Usual, After((1, 0.02), (2, 0.1), (3, 0.12)));

    [Fact]
    public void OneHangSaysNothingAboutTheNext() => Assert.Equal(Usual, After((1, 0.02), (3, 2), (3.1, 0.02)));

    [Fact]
    public void WhoIsHeldUpAgainAndAgainTakesALongerLease() => Assert.Equal(TimeSpan.FromSeconds(1.6), After((1, 0.4), (2, 0.6), (3, 0.02)));

    [Fact]
    public void ItEndsAtTenTimesTheUsualAndWithTheLoad()
    {
        Assert.Equal(10 * Usual, After((5, 3), (9, 3)));
        Assert.Equal(Usual, After((5, 3), (9, 3), (40, 0.02)));
    }
}
