using System.Globalization;
using System.Text.RegularExpressions;
using Perennial.Core;

namespace Perennial.Resilience.Layouts;

/// <summary>Which pipeline stages hold a tensor.</summary>
public enum StageRule
{
    /// <summary>The stage of its layer; the rule's pattern names the layer as <c>{layer}</c>.</summary>
    Layer,

    /// <summary>The first.</summary>
    First,

    /// <summary>The last.</summary>
    Last,

    /// <summary>Both ends: owned by the first, a replica on the last (a tied embedding).</summary>
    Tied,

    /// <summary>All, owned by the first.</summary>
    Every,
}

/// <summary>How tensors of some names are cut.</summary>
/// <param name="Match">The whole name; <c>{layer}</c> stands for a layer number, <c>*</c> for any text.</param>
/// <param name="Shard">How tensor-parallel ranks cut it.</param>
/// <param name="Stage">Which stages hold it.</param>
/// <param name="Replicas">What copies are to each other.</param>
/// <param name="Whole">Whether ZeRO may not cut it.</param>
public sealed record TensorRule(string Match, ShardRule Shard, StageRule Stage = StageRule.Layer, Replicas Replicas = Replicas.Equal, bool Whole = false);

/// <summary>A tensor with the rule that it follows.</summary>
/// <param name="Tensor">The tensor, its pattern filled in.</param>
/// <param name="Rule">The rule.</param>
/// <param name="Layer">Its layer number; 0 where the rule needs none.</param>
public sealed record RuledTensor(LogicalTensor Tensor, TensorRule Rule, int Layer);

/// <summary>
/// The rules of a kind of model. Nothing is guessed: a tensor that no rule or more than one rule matches, and a rule that
/// matches nothing, are errors (paper 47, part 3).
/// </summary>
/// <param name="rules">The rules.</param>
public sealed class RuleTable(IReadOnlyList<TensorRule> rules)
{
    private readonly (TensorRule Rule, Regex Pattern)[] patterns = [.. rules.Select(rule => (rule, Compile(rule.Match)))];

    /// <summary>The rules.</summary>
    public IReadOnlyList<TensorRule> Rules { get; } = rules;

    /// <summary>Gives every tensor its rule, in the order of the tensors.</summary>
    /// <exception cref="PerennialException">Exit 2: a tensor without exactly one rule, or a rule without a tensor.</exception>
    public IReadOnlyList<RuledTensor> Apply(IEnumerable<LogicalTensor> tensors)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        var used = new HashSet<TensorRule>(ReferenceEqualityComparer.Instance);
        var ruled = tensors.Select(tensor => Apply(tensor, used)).ToList();
        return Rules.FirstOrDefault(rule => !used.Contains(rule)) is { } idle
            ? throw PerennialException.Usage($"layout: the rule for '{idle.Match}' matches no tensor")
            : ruled;
    }

    private RuledTensor Apply(LogicalTensor tensor, HashSet<TensorRule> used)
    {
        var found = patterns.Select(entry => (entry.Rule, Match: entry.Pattern.Match(tensor.Name))).Where(entry => entry.Match.Success).ToList();
        if (found.Count == 0) throw PerennialException.Usage($"layout: no rule says how tensor '{tensor.Name}' is cut");
        if (found.Count > 1) throw PerennialException.Usage($"layout: the rules '{found[0].Rule.Match}' and '{found[1].Rule.Match}' both match tensor '{tensor.Name}'");
        var (rule, match) = found[0];
        var digits = match.Groups["layer"];
        if (rule.Stage == StageRule.Layer && !digits.Success) throw PerennialException.Usage($"layout: the rule for '{rule.Match}' places tensors by layer but names no {{layer}}");
        used.Add(rule);
        var layer = digits.Success ? int.Parse(digits.Value, CultureInfo.InvariantCulture) : 0;
        return new(tensor with { Pattern = rule.Shard.ToString()!, Replicas = rule.Replicas, Whole = rule.Whole }, rule, layer);
    }

    private static Regex Compile(string match) => new(
        "^" + Regex.Escape(match).Replace("\\{layer}", "(?<layer>[0-9]{1,6})", StringComparison.Ordinal).Replace("\\*", ".*", StringComparison.Ordinal) + "$",
        RegexOptions.CultureInvariant, TimeSpan.FromSeconds(1));
}
