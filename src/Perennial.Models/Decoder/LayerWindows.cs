using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models;

/// <summary>Opens and closes a decoder's parameters layer by layer; does nothing where all of them are at hand.</summary>
/// <typeparam name="T">Storage of the weights that products read.</typeparam>
internal sealed class LayerWindows<T>
    where T : struct, IStorage
{
    private readonly FlatParameters parameters;
    private readonly Tensor compute;
    private readonly IParameterWindow? window;

    /// <param name="shard">The part of the model.</param>
    /// <param name="parameters">Its parameters.</param>
    /// <param name="compute">The weights that products read: the matrices, rounded or the parameters themselves.</param>
    public LayerWindows(DecoderShard shard, FlatParameters parameters, Tensor compute)
    {
        (this.parameters, this.compute, window) = (parameters, compute, shard.Window);
        var names = new DecoderNames(shard.Config);
        Embedding = Of(name => shard.HoldsEmbedding && (name == names.Embedding || name == names.Positions));
        Head = Of(name => shard.HoldsHead && (name == names.Head || name == names.FinalNorm || name == names.FinalNormBias));
        Layers = [.. Enumerable.Range(shard.FirstLayer, shard.EndLayer - shard.FirstLayer).Select(layer => Of(name => name.StartsWith(names.Layer(layer), StringComparison.Ordinal)))];
    }

    /// <summary>The embedding and learned positions.</summary>
    public IReadOnlyList<(long First, long Length)> Embedding { get; }

    /// <summary>The last norm and the unembedding.</summary>
    public IReadOnlyList<(long First, long Length)> Head { get; }

    /// <summary>Each layer of the stage.</summary>
    public IReadOnlyList<IReadOnlyList<(long First, long Length)>> Layers { get; }

    /// <summary>Makes a part readable.</summary>
    public void Open(IReadOnlyList<(long First, long Length)> part)
    {
        if (window is null) return;
        foreach (var (first, length) in part)
        {
            window.Open(first, length);
            var rounded = Math.Min(first + length, compute.NumberOfElements) - first;
            if (!T.Rounds || rounded <= 0) continue;
            using var scope = NewDisposeScope();
            Bfloat16.Copy<T>(parameters.Values.narrow(0, first, rounded), compute.narrow(0, first, rounded));
        }
    }

    /// <summary>Lets a part go.</summary>
    public void Close(IReadOnlyList<(long First, long Length)> part)
    {
        if (window is null) return;
        foreach (var (first, length) in part)
        {
            window.Close(first, length);
            var rounded = Math.Min(first + length, compute.NumberOfElements) - first;
            if (T.Rounds && rounded > 0) HugePages.Release(compute, first, rounded, zero: false);
        }
    }

    /// <summary>Gives a part's gradient away and lets its values go.</summary>
    public void Collect(IReadOnlyList<(long First, long Length)> part)
    {
        if (window is null) return;
        foreach (var (first, length) in part) window.Collect(first, length);
        Close(part);
    }

    private List<(long First, long Length)> Of(Func<string, bool> isIn)
    {
        var ranges = new List<(long First, long Length)>();
        foreach (var entry in parameters.Layout.Entries.Where(entry => isIn(entry.Name)))
        {
            if (ranges.Count > 0 && ranges[^1].First + ranges[^1].Length == entry.Offset) ranges[^1] = (ranges[^1].First, ranges[^1].Length + entry.Length);
            else ranges.Add((entry.Offset, entry.Length));
        }
        return ranges;
    }
}
