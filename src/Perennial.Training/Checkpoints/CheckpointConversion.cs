using Perennial.Core;
using Perennial.Core.Safetensors;
using Perennial.Models;
using Perennial.Models.HuggingFace;
using Perennial.Resilience;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Plans;
using Perennial.Resilience.Universal;
using Perennial.Training.Parallel;
using StateSlot = Perennial.Resilience.Layouts.StateSlot;

namespace Perennial.Training.Checkpoints;

/// <summary>
/// Checkpoints from one form into another: ranks' files of any parallel shape, one file a tensor, Hugging Face folders. Everything streams
/// through a buffer of a mebibyte from mapped files; at most one tensor is in memory (one that needs another element type).
/// </summary>
public static class CheckpointConversion
{
    /// <summary>Writes the weights as a Hugging Face folder. Training state is left behind.</summary>
    /// <param name="source">A checkpoint of either form, or a Hugging Face folder.</param>
    /// <param name="target">A new folder.</param>
    /// <param name="options">Element type, size of shards.</param>
    /// <returns>The weight files written.</returns>
    /// <exception cref="PerennialException">Exit 2: the target exists. Exit 3: the source is damaged, or the new type's range is too small for a weight.</exception>
    public static IReadOnlyList<string> ToHuggingFace(string source, string target, ConversionOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (!ShardedCheckpoint.IsIn(source)) return FolderConversion.Convert(source, target, options);
        using var checkpoint = UniversalCheckpoint.Open(source);
        RequireModel(checkpoint, DecoderLayout.Of(ConfigJson.Read(source)).Entries.Select(entry => (entry.Name, entry.Shape)));
        IReadOnlyList<string> files = [];
        FolderConversion.Into(target, folder =>
        {
            var weights = checkpoint.Manifest.Slots.First(slot => slot.Slot.Name == DecoderPlacement.Weights).Stored;
            files = FolderConversion.WriteTensors(folder, [.. weights.Tensors.Select(tensor => Streamed(checkpoint, tensor, options.Type))], options);
            FolderConversion.CopyOthers(source, folder, options);
        });
        return files;
    }

    /// <summary>Writes the files that ranks of a shape would have written: all of the state where the source has it, else the weights.</summary>
    /// <param name="source">A checkpoint of either form, or a Hugging Face folder.</param>
    /// <param name="target">A new folder.</param>
    /// <param name="shape">The shape.</param>
    /// <exception cref="PerennialException">Exit 2: the target exists, the model cannot be cut so, or the source is in this shape already. Exit 3: the source is damaged.</exception>
    public static UniversalManifest ToShape(string source, string target, ParallelShape shape)
    {
        var config = ConfigJson.Read(source);
        return Write(source, target, (checkpoint, folder) => UniversalConverter.Reshard(checkpoint, folder, SlotPlacement.Layout(config, shape, Slots(checkpoint))), (state, folder) => UniversalConverter.Import(state, folder, SlotPlacement.Layout(config, shape, [])));
    }

    /// <summary>Writes one file a tensor, each in its logical shape: readable by any tool, and by any shape.</summary>
    /// <param name="source">A checkpoint of either form, or a Hugging Face folder.</param>
    /// <param name="target">A new folder.</param>
    /// <exception cref="PerennialException">Exit 2: the target exists. Exit 3: the source is damaged.</exception>
    public static UniversalManifest ToAtoms(string source, string target) =>
        Write(source, target, UniversalConverter.Consolidate, (state, folder) => UniversalConverter.Import(state, folder, null));

    private static UniversalManifest Write(string source, string target, Func<UniversalCheckpoint, string, UniversalManifest> rewrite, Func<ForeignState, string, UniversalManifest> import)
    {
        UniversalManifest? manifest = null;
        FolderConversion.Into(target, folder =>
        {
            if (ShardedCheckpoint.IsIn(source))
            {
                using var checkpoint = UniversalCheckpoint.Open(source);
                manifest = rewrite(checkpoint, folder);
            }
            else
            {
                using var weights = new FolderState(source);
                manifest = import(weights.State, folder);
            }
            FolderConversion.CopyOthers(source, folder, new ConversionOptions());
            CheckpointManifest.Of(folder, manifest.Summary.Progress.Step, ShardedCheckpoint.Known(manifest)).Write(folder);
        });
        return manifest!;
    }

    private static List<(StateSlot Slot, IReadOnlyList<LogicalTensor> Tensors)> Slots(UniversalCheckpoint checkpoint) =>
        [.. checkpoint.Manifest.Slots.Where(slot => slot.Slot.Name != DecoderPlacement.Weights).Select(slot => (slot.Slot, slot.Stored.Tensors))];

    private static SafetensorsTensor Streamed(UniversalCheckpoint checkpoint, LogicalTensor tensor, SafetensorsType? wanted)
    {
        TensorReader? reader = null;
        void Fill(long from, Span<byte> destination)
        {
            // Opened when its turn comes: checksums are tested and bytes copied while they are in the cache.
            reader ??= checkpoint.Read(DecoderPlacement.Weights, tensor.Name);
            reader.Fill(from, destination);
            if (from + destination.Length == tensor.Bytes) reader = null;
        }
        if (wanted is not { } type || type == SafetensorsType.F32) return SafetensorsTensor.Made(tensor.Name, SafetensorsType.F32, tensor.Shape, Fill);
        var buffer = Array.Empty<byte>();
        return SafetensorsTensor.Made(tensor.Name, type, tensor.Shape, (from, destination) =>
        {
            var bytes = destination.Length / type.Size() * sizeof(float);
            if (buffer.Length < bytes) buffer = new byte[bytes];
            Fill(from / type.Size() * sizeof(float), buffer.AsSpan(0, bytes));
            if (FloatConversion.Convert(buffer.AsSpan(0, bytes), SafetensorsType.F32, destination, type) > 0)
                throw PerennialException.Damaged($"{checkpoint.Folder}: tensor '{tensor.Name}' has numbers beyond the range of {type}; take BF16, whose range is that of float32");
        });
    }

    private static void RequireModel(UniversalCheckpoint checkpoint, IEnumerable<(string Name, IReadOnlyList<long> Shape)> model)
    {
        var weights = checkpoint.Manifest.Slots.FirstOrDefault(slot => slot.Slot.Name == DecoderPlacement.Weights)?.Stored ?? throw PerennialException.Damaged($"{checkpoint.Folder}: has no slot '{DecoderPlacement.Weights}'");
        foreach (var (name, shape) in model)
            if (weights.IndexOf(name) is not { } index || !weights.Tensors[index].Shape.SequenceEqual(shape))
                throw PerennialException.Damaged($"{checkpoint.Folder}: {ConfigJson.FileName} and {UniversalManifest.FileName} are of two models: '{name}' differs");
    }

    /// <summary>A Hugging Face folder's weights as a state whose ranks are tensors; one that is not float32 is converted when it is asked for.</summary>
    private sealed class FolderState : IDisposable
    {
        private readonly WeightReader weights;
        private (int Rank, FlatBytes Bytes)? converted;

        public FolderState(string folder)
        {
            var config = ConfigJson.Read(folder);
            weights = WeightReader.Open(folder, config);
            var entries = DecoderLayout.Of(config).Entries;
            var tensors = entries.Select(entry => new LogicalTensor(entry.Name, entry.Shape, sizeof(float))).ToList();
            var ranks = tensors.Select((tensor, i) => new RankBuffer(tensor.Bytes, [new LayoutRun(i, 0, 0, tensor.Bytes)]));
            var layout = new StateLayout(ParallelShape.Single, [new SlotLayout(new StateSlot(DecoderPlacement.Weights, SlotRole.Weight), Layout.Of(tensors, ranks))]);
            var step = File.Exists(Path.Combine(folder, CheckpointFiles.ProgressFile)) ? CheckpointFiles.ReadProgress(folder).Step : 0;
            State = ForeignState.Of(layout, (_, rank) => Buffer(rank, entries[rank].Name), new ProgressRecord(step, 0, 0, new Dictionary<string, ulong>(), new Dictionary<string, long>(), new Dictionary<string, string>()), isMapped: entries.All(entry => weights.Mapped(entry.Name) is not null));
        }

        public ForeignState State { get; }

        public void Dispose() => weights.Dispose();

        private FlatBytes Buffer(int rank, string name)
        {
            if (weights.Mapped(name) is var (pointer, bytes)) return FlatBytes.At(pointer, bytes);
            if (converted is { } kept && kept.Rank == rank) return kept.Bytes;
            var values = weights.Values(name);
            var copy = new byte[values.Length * (long)sizeof(float)];
            System.Buffer.BlockCopy(values, 0, copy, 0, copy.Length);
            converted = (rank, FlatBytes.Of(copy));
            return converted.Value.Bytes;
        }
    }
}
