using System.Text.Json;
using Perennial.Core;

namespace Perennial.Experiments.Runs;

/// <summary>
/// Finished runs of an experiment, one file each, named by the recipe's fingerprint and written whole or not at all: what makes
/// an experiment go on after a kill. A run that two parts of an experiment need is made once.
/// </summary>
/// <param name="folder">The folder of the files.</param>
public sealed class TrialLedger(string folder)
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    /// <summary>The outcome of a run that is finished; null when it is not. A damaged file counts as not finished.</summary>
    public TrialOutcome? Find(Trial trial)
    {
        ArgumentNullException.ThrowIfNull(trial);
        var path = PathOf(trial);
        if (!File.Exists(path)) return null;
        try
        {
            return JsonSerializer.Deserialize<Record>(File.ReadAllBytes(path), Json)?.Outcome;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>Records a finished run.</summary>
    public void Add(Trial trial, TrialOutcome outcome)
    {
        ArgumentNullException.ThrowIfNull(trial);
        Directory.CreateDirectory(folder);
        AtomicFile.Write(PathOf(trial), stream => JsonSerializer.Serialize(stream, new Record(trial.Name, trial.Fingerprint, outcome), Json));
    }

    private string PathOf(Trial trial) => Path.Combine(folder, trial.Fingerprint + ".json");

    private sealed record Record(string Name, string Fingerprint, TrialOutcome Outcome);
}
