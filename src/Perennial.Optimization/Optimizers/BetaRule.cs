namespace Perennial.Optimization;

/// <summary>What decay rates of moments must be.</summary>
internal static class BetaRule
{
    public static IEnumerable<(string Key, string Problem)> Problems(IReadOnlyList<double> betas)
    {
        if (betas.Count != 2 || betas.Any(beta => beta is not (>= 0 and < 1)))
            yield return ("betas", "two numbers are needed, each at least 0 and below 1, such as [0.9, 0.95]");
    }
}
