namespace Perennial.Experiments.Verdicts;

/// <summary>What a comparison says about a claim.</summary>
public enum Verdict
{
    /// <summary>Every hypothesis holds.</summary>
    Holds,

    /// <summary>Those that decide hold, another does not.</summary>
    Mixed,

    /// <summary>A hypothesis that decides does not hold.</summary>
    DoesNotHold,
}

/// <summary>The words of verdicts.</summary>
public static class VerdictWords
{
    /// <summary>The rule, as it is printed with every result.</summary>
    public static string Rule(Rounding rounding) =>
        "A condition holds when the mean over seeds of its contrast meets its threshold and enough seeds meet it on their own. A hypothesis holds when all its conditions do. "
        + "The verdict is 'holds' when every hypothesis holds, 'does not hold here' when one marked as deciding fails, 'mixed' otherwise. "
        + $"Values are rounded to {rounding.Words()} before anything is computed from them.";

    /// <summary>The words: <c>holds</c>, <c>mixed</c>, <c>does not hold here</c>.</summary>
    public static string Words(this Verdict verdict) => verdict switch
    {
        Verdict.Holds => "holds",
        Verdict.Mixed => "mixed",
        _ => "does not hold here",
    };
}
