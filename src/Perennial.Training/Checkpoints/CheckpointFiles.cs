using Perennial.Core;
using Perennial.Core.Safetensors;
using Perennial.Data;
using Perennial.Models;
using Perennial.Models.HuggingFace;
using Perennial.Optimization;
using Perennial.Resilience.Snapshots;
using Perennial.Resilience.Universal;
using Perennial.Tensors;
using Perennial.Training.Memory;
using Perennial.Training.State;
using static TorchSharp.torch;

namespace Perennial.Training.Checkpoints;

/// <summary>
/// The files of a checkpoint: a Hugging Face folder (<c>config.json</c>, <c>model.safetensors</c>, <c>tokenizer.json</c>), <c>state/</c>
/// for exact resume (<c>slots.safetensors</c>, <c>progress.json</c>), and one Hugging Face folder for each exported average. Where the
/// matrices are made of parts, <c>model.safetensors</c> holds the plain weights that they make, and <c>state/parameters.safetensors</c> the parts.
/// </summary>
public static class CheckpointFiles
{
    /// <summary>Where optimizer and practice slots are.</summary>
    public const string SlotsFile = "state/slots.safetensors";

    internal const string ProgressFile = "state/progress.json";
    private const string ParametersFile = "state/parameters.safetensors";

    /// <summary>Writes a snapshot. Touches only memory that the snapshot owns: may run beside training.</summary>
    /// <param name="folder">An empty folder.</param>
    /// <param name="snapshot">The copied state.</param>
    /// <param name="config">The model's configuration.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="exports">Names of slots to write as models of their own, with the folder's name for each.</param>
    /// <param name="map">What the matrices are made of; null where they are parameters themselves.</param>
    /// <param name="derived">The optimizer's evaluation weights, written as a model of their own; null for none.</param>
    public static void Write(string folder, StateSnapshot snapshot, DecoderConfig config, ITokenizer tokenizer, IReadOnlyList<(string Slot, string Name)> exports, WeightMap? map = null, DerivedWeights? derived = null)
    {
        ArgumentNullException.ThrowIfNull(snapshot);
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(exports);
        var frozen = snapshot.Slots.FirstOrDefault(slot => slot.Name == WeightMap.FrozenSlot)?.Values;
        Export(folder, snapshot.Parameters);
        foreach (var (slot, name) in exports)
        {
            var export = Directory.CreateDirectory(Path.Combine(folder, name)).FullName;
            Export(export, snapshot.Slots.Single(candidate => candidate.Name == slot).Values);
        }
        if (derived is not null)
        {
            using var scope = NewDisposeScope();
            var values = empty_like(snapshot.Parameters);
            derived.Fill(snapshot.Parameters, snapshot.Slots, values);
            Export(Directory.CreateDirectory(Path.Combine(folder, derived.Name)).FullName, values);
        }
        Directory.CreateDirectory(Path.Combine(folder, "state"));
        if (map is not null)
        {
            using var views = NewDisposeScope();
            SafetensorsWriter.Write(Path.Combine(folder, ParametersFile), [.. map.Layout.Entries.Select(entry => FlatParameters.View(snapshot.Parameters, entry).ToSafetensors(entry.Name))]);
        }
        SafetensorsWriter.Write(Path.Combine(folder, SlotsFile), snapshot.Slots.Select(slot => slot.Values.ToSafetensors(slot.Name)));
        AtomicFile.WriteText(Path.Combine(folder, ProgressFile), ProgressJson.Write(snapshot.Progress!) + "\n");

        void Export(string to, Tensor values) => WriteModel(to, snapshot.Layout, values, config, tokenizer, map, frozen);
    }

    /// <summary>
    /// What <see cref="Write"/> writes, as stretches of a state's bytes, for whoever has these and no model. Not for what must be computed from them: weights
    /// whose matrices are made of parts, and an optimizer's evaluation weights.
    /// </summary>
    /// <param name="root">The folder of the run's checkpoints.</param>
    /// <param name="keep">How many of the newest stay.</param>
    /// <param name="state">The state.</param>
    /// <param name="bytes">Its bytes.</param>
    /// <param name="config">The model's configuration.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="exports">Names of slots to write as models of their own, with the folder's name for each.</param>
    internal static CheckpointForm Form(string root, int keep, TrainingState state, StateBytes bytes, DecoderConfig config, ITokenizer tokenizer, IReadOnlyList<(string Slot, string Name)> exports)
    {
        var (layout, starts) = (state.Parameters.Layout, bytes.Starts);
        var slots = state.Slots.Select((slot, i) => (slot.Name, slot.Values, Start: starts[i + 1])).ToList();
        List<(string Folder, long Start)> models = [("", starts[0]), .. exports.Select(export => (export.Name, slots.Single(slot => slot.Name == export.Slot).Start))];
        var described = Described(config, tokenizer);
        return new CheckpointForm
        {
            Root = Path.GetFullPath(root), Keep = keep, StateBytes = bytes.Count,
            Tensors =
            [
                .. models.Select(model => new TensorFile(Path.Combine(model.Folder, WeightFiles.FileName),
                    [.. layout.Entries.Select(entry => new TensorPlace(entry.Name, SafetensorsType.F32, entry.Shape, model.Start + entry.Offset * sizeof(float)))], WeightFiles.Metadata)),
                new TensorFile(SlotsFile, [.. slots.Select(slot => new TensorPlace(slot.Name, slot.Values.StoredType(), slot.Values.shape, slot.Start))]),
            ],
            Constants = [.. models.SelectMany(model => described.Select(file => file with { Path = Path.Combine(model.Folder, file.Path) }))],
            Counted = [new CountedFile(ProgressFile, StateBytes.ProgressStart)],
        };
    }

    /// <summary>The files that describe a model, as their writers make them.</summary>
    private static List<ConstantFile> Described(DecoderConfig config, ITokenizer tokenizer)
    {
        var folder = Directory.CreateTempSubdirectory("perennial-form-").FullName;
        try
        {
            ConfigJson.Write(config, folder);
            tokenizer.Save(folder);
            return [.. Directory.EnumerateFiles(folder).Order(StringComparer.Ordinal).Select(path => new ConstantFile(Path.GetFileName(path), File.ReadAllBytes(path)))];
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Writes a Hugging Face folder.</summary>
    /// <param name="folder">An empty folder.</param>
    /// <param name="layout">Index of the values.</param>
    /// <param name="values">Flat values.</param>
    /// <param name="config">The model's configuration.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="map">What the matrices are made of; null where they are parameters themselves. The folder holds the plain weights.</param>
    /// <param name="frozen">The map's frozen part; null for none.</param>
    public static void WriteModel(string folder, FlatLayout layout, Tensor values, DecoderConfig config, ITokenizer tokenizer, WeightMap? map = null, Tensor? frozen = null)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        if (map is null) WeightFiles.Write(layout, values, folder);
        else WeightFiles.Write(map.PlainLayout, entry => map.Merge(entry, values, frozen), folder);
        ConfigJson.Write(config, folder);
        tokenizer.Save(folder);
    }

    /// <summary>Reads a checkpoint back into a state, proving that every parameter and slot was filled exactly once.</summary>
    /// <exception cref="PerennialException">Exit 3: damaged, or of another model or optimizer.</exception>
    /// <param name="folder">The checkpoint.</param>
    /// <param name="state">What is filled.</param>
    /// <param name="config">The model's configuration.</param>
    /// <param name="map">What the matrices are made of; null where they are parameters themselves.</param>
    public static void Read(string folder, TrainingState state, DecoderConfig config, WeightMap? map = null)
    {
        ArgumentNullException.ThrowIfNull(state);
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        if (map is null) WeightFiles.Read(folder, config, state.Parameters.Layout, state.Parameters.Values);
        else Fill(Path.Combine(folder, ParametersFile), "parameter", [.. map.Layout.Entries.Select(entry => (entry.Name, FlatParameters.View(state.Parameters.Values, entry)))]);
        Fill(Path.Combine(folder, SlotsFile), "slot", [.. state.Slots.Select(slot => (slot.Name, slot.Values))]);
        state.Progress = ReadProgress(folder);
    }

    /// <summary>Fills every tensor exactly once and leaves none of the file's unread.</summary>
    private static void Fill(string path, string what, IReadOnlyList<(string Name, Tensor Values)> targets)
    {
        using var file = SafetensorsFile.Open(path);
        var unread = file.Entries.Select(entry => entry.Name).ToHashSet(StringComparer.Ordinal);
        foreach (var (name, values) in targets)
        {
            if (!unread.Remove(name)) throw PerennialException.Damaged($"{path}: lacks {what} '{name}', which this recipe needs");
            var entry = file[name];
            if (!entry.Shape.SequenceEqual(values.shape)) throw PerennialException.Damaged($"{path}: {what} '{name}' has shape [{string.Join(", ", entry.Shape)}] instead of [{string.Join(", ", values.shape)}]");
            var type = values.ToSafetensors(name).Type;
            if (entry.Type != type) throw PerennialException.Damaged($"{path}: {what} '{name}' is {entry.Type} instead of {type}");
            file.ReadInto(name, values);
        }
        if (unread.Count > 0) throw PerennialException.Damaged($"{path}: holds {what}s that this recipe does not use: {string.Join(", ", unread.Order(StringComparer.Ordinal))}");
    }

    /// <summary>The progress of a checkpoint, whoever wrote it: one process or the ranks of a parallel shape.</summary>
    /// <exception cref="PerennialException">Exit 3: missing or damaged.</exception>
    public static Progress ReadProgress(string folder)
    {
        if (ShardedCheckpoint.IsIn(folder)) return ShardedCheckpoint.ProgressOf(UniversalManifest.Read(folder).Summary.Progress, folder);
        var path = Path.Combine(folder, ProgressFile);
        return File.Exists(path) ? ProgressJson.Read(File.ReadAllText(path), path) : throw PerennialException.Damaged($"{path}: is missing");
    }
}
