using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models.Quantization;

/// <summary>A model's plain weights in memory of their own, to be rounded, rotated or otherwise tried out.</summary>
public static class PlainCopy
{
    /// <summary>The copy; parts of matrices are merged. The caller disposes it.</summary>
    public static FlatParameters Of(ILanguageModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var copy = new FlatParameters(DecoderLayout.Of(model.Config));
        foreach (var entry in copy.Layout.Entries)
            copy.Value(entry.Name).copy_(model.Map?.Merge(entry, model.Parameters.Values, model.Map.Frozen) ?? model.Parameters.Value(entry.Name));
        return copy;
    }

    /// <summary>Rounds the matrices of the blocks in place, as <see cref="FolderQuantization"/> would write them.</summary>
    public static void Round(FlatParameters parameters, DecoderConfig config, QuantizationScheme scheme, bool search)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        ArgumentNullException.ThrowIfNull(config);
        using var _ = no_grad();
        foreach (var entry in parameters.Layout.Entries.Where(entry => entry.Kind == EntryKind.Matrix))
        {
            using var scope = NewDisposeScope();
            var view = parameters.Value(entry.Name);
            if (config.Family != ModelFamily.Gpt2)
            {
                RoundToNearest.Matrix(view, scheme, search);
                continue;
            }
            var turned = view.t().contiguous();
            RoundToNearest.Matrix(turned, scheme, search);
            view.copy_(turned.t());
        }
    }
}
