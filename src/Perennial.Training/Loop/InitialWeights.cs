using Perennial.Core;
using Perennial.Data;
using Perennial.Data.Tokenizers;
using Perennial.Models;
using Perennial.Models.HuggingFace;
using Perennial.Training.Parallel;
using TorchSharp;

namespace Perennial.Training.Loop;

/// <summary>Starts a model from a checkpoint's weights, after proving that recipe, tokenizer and checkpoint mean the same model.</summary>
public static class InitialWeights
{
    /// <summary>Fills the model.</summary>
    /// <param name="folder">The checkpoint.</param>
    /// <param name="model">A model of the recipe's configuration.</param>
    /// <param name="tokenizer">The run's tokenizer.</param>
    /// <param name="seed">The run's seed: the key of what a parameterization adds.</param>
    /// <exception cref="PerennialException">Exit 2: the recipe describes another model or uses another tokenizer. Exit 3: the checkpoint is damaged.</exception>
    public static void Load(string folder, ILanguageModel model, ITokenizer tokenizer, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(tokenizer);
        RequireSame(folder, model.Config, tokenizer);
        if (model.Map is { } map)
        {
            using var plain = torch.zeros(map.PlainLayout.Length);
            WeightFiles.Read(folder, model.Config, map.PlainLayout, plain);
            WeightStart.Take(map, model.Parameters, plain, seed, folder);
        }
        else
            WeightFiles.Read(folder, model.Config, model.Parameters.Layout, model.Parameters.Values);
        model.ParametersChanged();
    }

    /// <summary>Fills a part of the model; whole tensors are read one at a time.</summary>
    /// <param name="folder">The checkpoint.</param>
    /// <param name="part">This process's part.</param>
    /// <param name="tokenizer">The run's tokenizer.</param>
    /// <exception cref="PerennialException">As for the whole model.</exception>
    public static void Load(string folder, ParallelDecoder part, ITokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(part);
        ArgumentNullException.ThrowIfNull(tokenizer);
        RequireSame(folder, part.Placement.Config, tokenizer);
        using var weights = WeightReader.Open(folder, part.Placement.Config);
        part.Fill(index => weights.Values(part.Placement.Global.Entries[index].Name));
    }

    private static void RequireSame(string folder, DecoderConfig config, ITokenizer tokenizer)
    {
        var differences = Differences(config, ConfigJson.Read(folder)).ToList();
        if (differences.Count > 0)
            throw PerennialException.Usage($"model: differs from the checkpoint {folder} that it starts from ({string.Join("; ", differences)}); take model: {{ kind: checkpoint, path: {folder} }}");
        CheckTokenizer(folder, config, tokenizer);
    }

    /// <summary>Refuses a tokenizer under which the checkpoint's embedding would mean other tokens.</summary>
    private static void CheckTokenizer(string folder, DecoderConfig config, ITokenizer tokenizer)
    {
        var cure = $"use data.tokenizer: {{ kind: file, path: {folder} }}";
        if (tokenizer.VocabularySize > config.Vocabulary) throw PerennialException.Usage($"data.tokenizer: has {tokenizer.VocabularySize} tokens, but the checkpoint {folder} knows {config.Vocabulary}; {cure}");
        if (File.Exists(Path.Combine(folder, TokenizerJson.FileName)) && TokenizerJson.Load(folder).Fingerprint != tokenizer.Fingerprint)
            throw PerennialException.Usage($"data.tokenizer: is not the one that the checkpoint {folder} was trained with; {cure}");
    }

    /// <summary>What would make the recipe compute otherwise than the checkpoint: shapes, and settings that no shape betrays.</summary>
    private static IEnumerable<string> Differences(DecoderConfig recipe, DecoderConfig stored)
    {
        foreach (var (key, mine, theirs) in new (string, object, object)[]
        {
            ("kind", recipe.Family, stored.Family), ("vocabulary", recipe.Vocabulary, stored.Vocabulary), ("width", recipe.Width, stored.Width),
            ("layers", recipe.Layers, stored.Layers), ("heads", recipe.Heads, stored.Heads), ("key-value-heads", recipe.KeyValueHeads, stored.KeyValueHeads),
            ("head width", recipe.HeadWidth, stored.HeadWidth), ("intermediate", recipe.Intermediate, stored.Intermediate),
            ("norm-epsilon", recipe.NormEpsilon, stored.NormEpsilon), ("tied-head", recipe.TiedHead, stored.TiedHead), ("exact GELU", recipe.ExactGelu, stored.ExactGelu),
        })
        {
            if (!mine.Equals(theirs)) yield return $"{key} {mine} against {theirs}";
        }
        if (recipe.Family != ModelFamily.Gpt2 && recipe.RopeTheta != stored.RopeTheta) yield return $"rope-theta {recipe.RopeTheta} against {stored.RopeTheta}";
        if (recipe.Family == ModelFamily.Gpt2 && recipe.Context != stored.Context) yield return $"context {recipe.Context} against {stored.Context}";
    }
}
