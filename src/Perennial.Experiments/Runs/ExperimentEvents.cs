namespace Perennial.Experiments.Runs;

/// <summary>Something that happened in an experiment.</summary>
public abstract record ExperimentEvent;

/// <summary>The plan is made.</summary>
/// <param name="Folder">The experiment's folder.</param>
/// <param name="Tier">Name of the chosen size.</param>
/// <param name="Seeds">The seeds.</param>
/// <param name="Runs">Training runs in all, the search included (a run that the search and an arm share is counted once the winner is known).</param>
public sealed record ExperimentStarted(string Folder, string Tier, IReadOnlyList<ulong> Seeds, int Runs) : ExperimentEvent;

/// <summary>A run is training.</summary>
/// <param name="Name">Which.</param>
/// <param name="Share">Finished share of it, 0 to 1.</param>
/// <param name="Done">Runs finished.</param>
/// <param name="Runs">Runs in all.</param>
/// <param name="SecondsLeft">Estimated seconds to the end of the experiment; null while nothing is known.</param>
public sealed record TrialProgress(string Name, double Share, int Done, int Runs, double? SecondsLeft) : ExperimentEvent;

/// <summary>A run is finished.</summary>
/// <param name="Name">Which.</param>
/// <param name="Outcome">What it measured.</param>
/// <param name="Recorded">Whether an earlier call had finished it.</param>
/// <param name="Done">Runs finished, this one included.</param>
/// <param name="Runs">Runs in all.</param>
/// <param name="SecondsLeft">Estimated seconds to the end of the experiment; null while nothing is known.</param>
public sealed record TrialFinished(string Name, TrialOutcome Outcome, bool Recorded, int Done, int Runs, double? SecondsLeft) : ExperimentEvent;

/// <summary>The shared search is over.</summary>
/// <param name="Key">The recipe key.</param>
/// <param name="Tried">Each value with its mean of the metric.</param>
/// <param name="Chosen">The value used from here on.</param>
public sealed record TuningFinished(string Key, IReadOnlyList<(string Value, double Mean)> Tried, string Chosen) : ExperimentEvent;

/// <summary>Everything is measured and judged.</summary>
/// <param name="Result">The result.</param>
/// <param name="Page">The page with curves.</param>
public sealed record ExperimentFinished(Reports.ExperimentResult Result, string Page) : ExperimentEvent;

/// <summary>Sees every event of an experiment, one at a time.</summary>
public interface IExperimentObserver
{
    /// <summary>Takes note of an event.</summary>
    void Observe(ExperimentEvent happened);
}
