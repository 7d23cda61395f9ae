using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Resilience;
using Perennial.Training.Recipes;

namespace Perennial.Training.Runs;

/// <summary>The folder of a run and the files in it.</summary>
/// <param name="path">The folder.</param>
public sealed class RunFolder(string path)
{
    private const string RecipeName = "recipe.yaml", SnapshotName = "snapshot-id.txt", MemoryName = "memory.json";

    /// <summary>The folder.</summary>
    public string Path { get; } = path;

    /// <summary>The resolved recipe.</summary>
    public string RecipePath => System.IO.Path.Combine(Path, RecipeName);

    /// <summary>Under which shapes ranks kept their state on nodes, for those that come after all of them were lost.</summary>
    public string MemoryPath => System.IO.Path.Combine(Path, MemoryName);

    /// <summary>The run's checkpoints.</summary>
    public CheckpointStore Checkpoints => new(System.IO.Path.Combine(Path, "checkpoints"));

    /// <summary>The models of finished stages: Hugging Face folders <c>N-name</c>.</summary>
    public string Stages => System.IO.Path.Combine(Path, "stages");

    /// <summary>Checkpoints of decays that a longer plan went back behind.</summary>
    public string Annealed => System.IO.Path.Combine(Path, "annealed");

    /// <summary>Writes a stage's model; it appears whole, by one rename.</summary>
    /// <param name="index">Number of the stage, from 0; folders count from 1.</param>
    /// <param name="name">Its name.</param>
    /// <param name="fill">Writes the files.</param>
    /// <returns>The folder.</returns>
    public string WriteStage(int index, string name, Action<string> fill)
    {
        ArgumentNullException.ThrowIfNull(fill);
        var target = System.IO.Path.Combine(Stages, $"{index + 1}-{name}");
        var temporary = target + AtomicFile.TemporarySuffix;
        if (Directory.Exists(temporary)) Directory.Delete(temporary, recursive: true);
        Directory.CreateDirectory(temporary);
        fill(temporary);
        // A kill after the last writing repeats the end of the stage, to the same bits.
        if (Directory.Exists(target)) Directory.Delete(target, recursive: true);
        Directory.Move(temporary, target);
        AtomicFile.FlushFolder(Stages);
        return target;
    }

    /// <summary>The recipe that the folder was last trained with, or null when it has none.</summary>
    /// <exception cref="PerennialException">Exit 3: it is damaged.</exception>
    public Recipe? StoredRecipe(RecipeLoader loader)
    {
        ArgumentNullException.ThrowIfNull(loader);
        if (!File.Exists(RecipePath)) return null;
        try
        {
            return loader.Load(RecipePath);
        }
        catch (PerennialException error)
        {
            throw PerennialException.Damaged($"the run's own recipe does not hold: {error.Message}; start over with --fresh", error);
        }
    }

    /// <summary>Makes the folder and takes its lock.</summary>
    /// <exception cref="PerennialException">Exit 1: it cannot be written. Exit 2: another process is training in it.</exception>
    public RunLock Open()
    {
        try
        {
            Directory.CreateDirectory(Path);
            return RunLock.Take(Path);
        }
        catch (Exception error) when (FileErrors.Is(error))
        {
            throw PerennialException.Failed($"{Path}: the run folder cannot be written: {error.Message}; choose another with --run", error);
        }
    }

    /// <summary>Removes what a run wrote, and nothing else: a folder that holds other files keeps them.</summary>
    public void Clear()
    {
        if (Directory.Exists(Checkpoints.Root)) Directory.Delete(Checkpoints.Root, recursive: true);
        foreach (var kept in new[] { Stages, Annealed }.Where(Directory.Exists)) Directory.Delete(kept, recursive: true);
        foreach (var file in Directory.EnumerateFiles(Path, "events.out.tfevents.*").Concat(
            new[] { RecipeName, "metrics.jsonl", "report.html", "forgetting.json", "log.txt", RunMeasurements.FileName, SnapshotName, MemoryName }.Select(name => System.IO.Path.Combine(Path, name))).ToList()) File.Delete(file);
    }

    /// <summary>The id under which this run's memory outlives its processes; made once, and gone with a fresh start.</summary>
    public Guid SnapshotId()
    {
        var path = System.IO.Path.Combine(Path, SnapshotName);
        if (File.Exists(path) && Guid.TryParse(File.ReadAllText(path).Trim(), out var known)) return known;
        var made = Guid.NewGuid();
        AtomicFile.WriteText(path, made.ToString());
        return made;
    }

    /// <summary>Writes the resolved recipe, unless the folder has it already: who takes a run over needs no room on the disk for it.</summary>
    public void WriteRecipe(Recipe recipe)
    {
        var text = RecipeWriter.ToYaml(recipe);
        if (!File.Exists(RecipePath) || File.ReadAllText(RecipePath) != text) AtomicFile.WriteText(RecipePath, text);
    }
}
