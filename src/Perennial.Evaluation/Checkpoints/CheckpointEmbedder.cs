using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Data.Curation;
using Perennial.Data.Deduplication;
using Perennial.Models;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Evaluation.Checkpoints;

/// <summary>Options of <see cref="CheckpointEmbedder"/>.</summary>
public sealed record CheckpointEmbedderOptions : IReadsFiles
{
    /// <summary>A run folder, whose newest whole checkpoint is taken, or a checkpoint in Hugging Face layout.</summary>
    [Required]
    public string Path { get; init; } = "";

    /// <summary>Windows of the model's context, from a text's beginning, that count.</summary>
    [Range(1, 1000)]
    public int Windows { get; init; } = 4;

    /// <inheritdoc/>
    public IEnumerable<string> Files() => Directory.EnumerateFiles(LoadedCheckpoint.Locate(Path, _ => { })).Order(StringComparer.Ordinal);
}

/// <summary>A decoder of one's own, such as the model under training: the mean of its final hidden states over a text's tokens.</summary>
[Component("checkpoint")]
public sealed class CheckpointEmbedder : IEmbedder, IDisposable
{
    private readonly int windows;
    private readonly LoadedCheckpoint checkpoint;
    private readonly Lock turn = new();

    /// <summary>Loads the checkpoint.</summary>
    /// <exception cref="PerennialException">Exit 2: there is nothing like a checkpoint. Exit 3: it is damaged.</exception>
    public CheckpointEmbedder(CheckpointEmbedderOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        windows = options.Windows;
        // A training that prepares its text has chosen its threads.
        TorchRuntime.EnsureLoaded();
        checkpoint = LoadedCheckpoint.Open(options.Path, _ => { });
    }

    /// <inheritdoc/>
    public int Width => checkpoint.Model.Config.Width;

    /// <inheritdoc/>
    public void Dispose() => checkpoint.Dispose();

    /// <inheritdoc/>
    public void Embed(ReadOnlySpan<byte> text, Span<float> vector)
    {
        var ids = new List<int>();
        checkpoint.Tokenizer.Encode(text, ids);
        vector[..Width].Clear();
        var context = checkpoint.Model.Config.Context;
        var counted = Math.Min(ids.Count, context * windows);
        if (counted == 0) return;
        // One text at a time, since a model's scratch memory is not shared, and on one thread, so that the bits are the same on every machine of a kind.
        lock (turn)
        {
            using var scope = NewDisposeScope();
            using var _ = no_grad();
            var threads = get_num_threads();
            set_num_threads(1);
            try
            {
                for (var first = 0; first < counted; first += context)
                {
                    var window = ids.GetRange(first, Math.Min(context, counted - first));
                    var sum = checkpoint.Model.Hidden(new ModelInput(tensor(window.Select(id => (long)id).ToArray(), 1, window.Count), null)).to_type(ScalarType.Float32).sum(1);
                    var values = TensorMemory.Span<float>(sum.contiguous());
                    for (var i = 0; i < values.Length; i++) vector[i] += values[i] / counted;
                }
            }
            finally
            {
                set_num_threads(threads);
            }
        }
    }
}
