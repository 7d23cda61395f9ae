using System.Text.Json.Nodes;

namespace Perennial.Cli.Doctor;

/// <summary>How a thing stands.</summary>
public enum Health
{
    /// <summary>A plain fact.</summary>
    Fact,

    /// <summary>Checked, and in order.</summary>
    Good,

    /// <summary>Works, but could be better; the cure says how.</summary>
    Warning,

    /// <summary>Missing or broken, and something needs it; the cure says how to get it.</summary>
    Missing,
}

/// <summary>One line of the diagnosis.</summary>
/// <param name="Key">Name in <c>doctor --json</c>, snake case.</param>
/// <param name="Label">What it is, for people.</param>
/// <param name="Value">How it is, for people.</param>
/// <param name="Raw">The same for programs; null takes <paramref name="Value"/>.</param>
/// <param name="Health">How it stands.</param>
/// <param name="Cure">What to do about it; null when nothing is to be done.</param>
public sealed record Finding(string Key, string Label, string Value, JsonNode? Raw = null, Health Health = Health.Fact, string? Cure = null);

/// <summary>Findings that belong together.</summary>
/// <param name="Key">Name in <c>doctor --json</c>.</param>
/// <param name="Title">Heading.</param>
/// <param name="Findings">The findings in order.</param>
public sealed record FindingGroup(string Key, string Title, IReadOnlyList<Finding> Findings);

/// <summary>What <c>perennial doctor</c> found.</summary>
/// <param name="Groups">The groups in order.</param>
public sealed record Diagnosis(IReadOnlyList<FindingGroup> Groups)
{
    /// <summary>Whether everything that is needed is there.</summary>
    public bool IsHealthy => Groups.All(group => group.Findings.All(finding => finding.Health != Health.Missing));

    /// <summary>The form of <c>doctor --json</c>: one object a group, and the list of what wants a cure.</summary>
    public JsonObject ToJson()
    {
        var json = new JsonObject { ["healthy"] = IsHealthy };
        foreach (var group in Groups)
            json[group.Key] = new JsonObject(group.Findings.Select(finding => KeyValuePair.Create(finding.Key, finding.Raw?.DeepClone() ?? (JsonNode?)finding.Value)));
        json["cures"] = new JsonArray([.. Groups.SelectMany(group => group.Findings.Where(finding => finding.Cure is not null).Select(finding =>
            (JsonNode)new JsonObject { ["what"] = $"{group.Key}.{finding.Key}", ["health"] = finding.Health.ToString().ToLowerInvariant(), ["cure"] = finding.Cure }))]);
        return json;
    }
}
