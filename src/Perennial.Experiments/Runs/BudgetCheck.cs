using Perennial.Core;
using Perennial.Experiments.Papers;

namespace Perennial.Experiments.Runs;

/// <summary>Makes sure that what the arms were meant to have in common they had.</summary>
internal static class BudgetCheck
{
    private const double ComputeTolerance = 0.01;

    /// <exception cref="PerennialException">Exit 1: two runs did not spend the same.</exception>
    public static void Require(Paper paper, IReadOnlyDictionary<(string Arm, ulong Seed), TrialOutcome> outcomes)
    {
        var runs = outcomes.OrderBy(pair => pair.Key.Seed).ThenBy(pair => pair.Key.Arm, StringComparer.Ordinal).ToList();
        var first = runs[0];
        foreach (var run in runs)
        {
            if (paper.Budget.Kind == BudgetKind.EqualTokens && run.Value.Tokens != first.Value.Tokens)
                throw PerennialException.Failed($"the arms did not see equally many tokens: {first.Key.Arm} (seed {first.Key.Seed}) {first.Value.Tokens:N0}, {run.Key.Arm} (seed {run.Key.Seed}) {run.Value.Tokens:N0}; give every arm the same training.tokens and batch");
            if (paper.Budget.Kind == BudgetKind.EqualCompute && Math.Abs(run.Value.Flops / first.Value.Flops - 1) > ComputeTolerance)
                throw PerennialException.Failed($"the arms did not spend equal compute: {first.Key.Arm} {first.Value.Flops:0.###e+0}, {run.Key.Arm} {run.Value.Flops:0.###e+0} floating-point operations; more than 1 % apart");
        }
    }
}
