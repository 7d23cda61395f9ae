using Perennial.Core;
using Perennial.Data.Tokenizers;
using Perennial.Models;
using Perennial.Models.HuggingFace;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Training.Checkpoints;

/// <summary>How one tensor differs between two checkpoints.</summary>
/// <param name="Name">The tensor.</param>
/// <param name="Equal">Whether it is equal bit for bit.</param>
/// <param name="LargestDifference">Largest absolute difference.</param>
/// <param name="RelativeDifference">Norm of the difference over the norm of the first.</param>
public sealed record TensorDifference(string Name, bool Equal, double LargestDifference, double RelativeDifference);

/// <summary>Comparing and averaging checkpoints of one architecture.</summary>
public static class CheckpointArithmetic
{
    /// <summary>Compares two models tensor by tensor.</summary>
    /// <exception cref="PerennialException">Exit 2: they are not of one shape.</exception>
    public static IReadOnlyList<TensorDifference> Compare(string first, string second)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var (config, layout, a) = Load(first);
        var (_, _, b) = Load(second, config, first);
        return [.. layout.Entries.Select(entry =>
        {
            using var step = NewDisposeScope();
            var (x, y) = (a.narrow(0, entry.Offset, entry.Length).to_type(ScalarType.Float64), b.narrow(0, entry.Offset, entry.Length).to_type(ScalarType.Float64));
            var difference = x - y;
            var norm = x.norm().item<double>();
            return new TensorDifference(entry.Name, x.eq(y).all().item<bool>(), difference.abs().max().item<double>(), norm > 0 ? difference.norm().item<double>() / norm : double.NaN);
        })];
    }

    /// <summary>Writes the weighted average of models, accumulated in float32, as a new Hugging Face folder.</summary>
    /// <param name="folders">Models, newest first.</param>
    /// <param name="weights">Their weights, summing to 1.</param>
    /// <param name="target">A folder that does not exist yet.</param>
    /// <exception cref="PerennialException">Exit 2: not of one shape or one tokenizer, or the target exists.</exception>
    public static void Average(IReadOnlyList<string> folders, IReadOnlyList<double> weights, string target)
    {
        ArgumentNullException.ThrowIfNull(folders);
        ArgumentNullException.ThrowIfNull(weights);
        FolderConversion.RequireNew(target);
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var (config, layout, sum) = Load(folders[0]);
        var tokenizer = TokenizerJson.Load(folders[0]);
        sum.mul_(weights[0]);
        for (var i = 1; i < folders.Count; i++)
        {
            using var step = NewDisposeScope();
            var (_, _, values) = Load(folders[i], config, folders[0]);
            if (TokenizerJson.Load(folders[i]).Fingerprint != tokenizer.Fingerprint) throw PerennialException.Usage($"{folders[i]}: has another tokenizer than {folders[0]}; their average would mean nothing");
            sum.add_(values, alpha: weights[i]);
        }
        FolderConversion.Into(target, temporary => CheckpointFiles.WriteModel(temporary, layout, sum, config, tokenizer));
    }

    private static (DecoderConfig Config, FlatLayout Layout, Tensor Values) Load(string folder, DecoderConfig? expected = null, string? other = null)
    {
        var config = ConfigJson.Read(folder);
        if (expected is not null && config with { EndOfText = expected.EndOfText, InitializerRange = expected.InitializerRange, Carried = expected.Carried } != expected)
            throw PerennialException.Usage($"{folder}: is another architecture than {other}");
        var layout = DecoderLayout.Of(config);
        var values = zeros(layout.Length, ScalarType.Float32);
        if (ShardedCheckpoint.IsIn(folder)) ShardedCheckpoint.ReadWeights(folder, config, values);
        else WeightFiles.Read(folder, config, layout, values);
        return (config, layout, values);
    }
}
