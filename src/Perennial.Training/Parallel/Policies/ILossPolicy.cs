using Perennial.Core;

namespace Perennial.Training.Parallel.Policies;

/// <summary>
/// What a run does about processes that are lost: the recipe's <c>resilience.policy</c>. A policy is a pure function of who is there; the
/// rest (finding out, agreeing, connecting, state) is the same for all, so that runs under different policies can be compared.
/// </summary>
[ComponentRole("policy")]
public interface ILossPolicy
{
    /// <summary>Who computes which rows of a step's batch. Rows that nobody computes are lost: the step learns from the others alone.</summary>
    StepShares Share(ShareInput who);

    /// <summary>Whether a loss ends every process of the run, to be started again from the newest checkpoint on disk.</summary>
    bool Restarts => false;
}

/// <summary>What shares are made from; the same on every process.</summary>
/// <param name="Rows">Rows of the step's batch.</param>
/// <param name="Unit">Rows that must stay together (a block of exact sums); the last may be smaller.</param>
/// <param name="MicroBatch">Rows computed at one time.</param>
/// <param name="World">Processes that the run was started with.</param>
/// <param name="Places">Of every present process, in rank order, its place (from 0) among those; newcomers beyond them have places from <paramref name="World"/> on.</param>
/// <param name="Speeds">Of every present process its speed, 1 for nominal.</param>
public sealed record ShareInput(int Rows, int Unit, int MicroBatch, int World, IReadOnlyList<int> Places, IReadOnlyList<double> Speeds);

/// <summary>Rows of a step's batch by rank: disjoint, each rank's ascending.</summary>
/// <param name="ByRank">For every rank its rows.</param>
public sealed record StepShares(IReadOnlyList<IReadOnlyList<Range>> ByRank)
{
    /// <summary>Rows that somebody computes.</summary>
    public int Rows => ByRank.Sum(CountOf);

    /// <summary>Rows of one rank.</summary>
    public int Count(int rank) => CountOf(ByRank[rank]);

    /// <summary>All rows that somebody computes, ascending.</summary>
    public IReadOnlyList<Range> Covered => [.. ByRank.SelectMany(rows => rows).OrderBy(range => range.Start.Value)];

    /// <summary>Everything for one process.</summary>
    public static StepShares Whole(int rows) => new([[0..rows]]);

    private static int CountOf(IReadOnlyList<Range> rows) => rows.Sum(range => range.End.Value - range.Start.Value);
}
