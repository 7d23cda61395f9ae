namespace Perennial.Experiments.Runs;

/// <summary>How an experiment is run.</summary>
public sealed record ExperimentOptions
{
    /// <summary>Folder for everything it writes; the chosen size adds a folder of its own.</summary>
    public required string Folder { get; init; }

    /// <summary>Number of seeds; null for the size's own.</summary>
    public int? Seeds { get; init; }

    /// <summary>What may be spent, minutes: picks one of the paper's sizes; null for its default.</summary>
    public double? BudgetMinutes { get; init; }

    /// <summary>Runs trained side by side. Changes no number.</summary>
    public int Parallel { get; init; } = Environment.ProcessorCount;

    /// <summary>Throws away what earlier calls finished.</summary>
    public bool Fresh { get; init; }
}
