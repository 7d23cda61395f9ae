using System.Globalization;

namespace Perennial.Resilience.Membership;

/// <summary>Where one run keeps its things in the store.</summary>
/// <param name="Run">The run's name.</param>
public sealed record MembershipKeys(string Run)
{
    /// <summary>The counter of ids given.</summary>
    public string Ids => $"{Run}/ids";

    /// <summary>The present epoch.</summary>
    public string Epoch => $"{Run}/epoch";

    /// <summary>The coordinator's lease.</summary>
    public string Coordinator => $"{Run}/coordinator";

    /// <summary>The counter of doubts raised.</summary>
    public string Doubts => $"{Run}/doubts";

    /// <summary>The channel that says: look.</summary>
    public string News => $"{Run}/news";

    /// <summary>A member's lease.</summary>
    public string Member(long id) => string.Create(CultureInfo.InvariantCulture, $"{Run}/member/{id}");

    /// <summary>The newest doubt about a member.</summary>
    public string Doubt(long id) => string.Create(CultureInfo.InvariantCulture, $"{Run}/doubt/{id}");

    /// <summary>The name under which the ranks of an epoch meet (<see cref="Groups.GroupSettings.Name"/>).</summary>
    public string Group(long epoch) => string.Create(CultureInfo.InvariantCulture, $"{Run}/g{epoch}/");
}
