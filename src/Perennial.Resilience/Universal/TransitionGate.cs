using Perennial.Core;
using Perennial.Resilience.Layouts;

namespace Perennial.Resilience.Universal;

/// <summary>
/// Stands between a load or transfer and the first step in the new layout (paper 47, part 6). It lets a state through only if
/// every element of every slot was filled exactly once, each logical tensor has the content that it had, replicas are equal,
/// low-precision copies are the rounding of their masters, every parameter has its optimizer state, and step, cursor, counters
/// and generator keys are those of the source on every rank. It is a pure function: every rank that has all evidence judges alike.
/// </summary>
public static class TransitionGate
{
    /// <summary>All faults, in words; empty when the state may be used.</summary>
    /// <param name="expected">What the source contained.</param>
    /// <param name="layout">The new layout.</param>
    /// <param name="evidence">What each rank of the new layout found.</param>
    public static IReadOnlyList<string> Judge(StateSummary expected, StateLayout layout, IReadOnlyList<RankEvidence> evidence)
    {
        ArgumentNullException.ThrowIfNull(expected);
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(evidence);
        var content = new GateContent(layout, evidence);
        return [
            .. GateChecks.Residency(expected, layout), .. content.Faults, .. GateChecks.Contents(expected, layout, content),
            .. GateChecks.Copies(layout, content), .. GateChecks.Accounting(expected, layout), .. GateChecks.Ranks(evidence, expected.Progress)];
    }

    /// <summary>Stops a state that has faults.</summary>
    /// <exception cref="PerennialException">Exit 3: the faults, the first of them in words.</exception>
    public static void Require(StateSummary expected, StateLayout layout, IReadOnlyList<RankEvidence> evidence)
    {
        var faults = Judge(expected, layout, evidence);
        if (faults.Count == 0) return;
        throw PerennialException.Damaged($"the loaded state is not the saved one: {string.Join("; ", faults.Take(3))}{(faults.Count > 3 ? $"; and {faults.Count - 3} more faults" : "")}");
    }
}

/// <summary>The loss of one fixed batch, stored with a checkpoint and reproduced after a load.</summary>
/// <param name="Batch">What the batch is (a file, or the sample positions).</param>
/// <param name="Loss">Its mean loss in nats a token.</param>
/// <param name="LowPrecision">Whether the forward pass works in 16 bits.</param>
public sealed record Canary(string Batch, double Loss, bool LowPrecision)
{
    /// <summary>The largest relative difference let through: 1e-5 in float32, 1e-2 in 16 bits (paper 47, part 6).</summary>
    [System.Text.Json.Serialization.JsonIgnore]
    public double Tolerance => LowPrecision ? 1e-2 : 1e-5;

    /// <summary>What is wrong with the loss found, in words, or null.</summary>
    public string? Problem(double found) => Math.Abs(found - Loss) <= Tolerance * Math.Abs(Loss) ? null : $"the canary batch '{Batch}' has loss {found:g9} instead of {Loss:g9} (at most {Tolerance:g1} relative)";
}
