namespace Perennial.Models.Tests.Parameterizations;

/// <summary>The forms that tests go through, by name.</summary>
internal static class Forms
{
    public static WeightForm Of(string name) => name switch
    {
        "lora" => new LoraParameterization(new LoraOptions { Rank = 4, Alpha = 6 }).Form,
        "low-rank" => new LowRankParameterization(new LowRankTrainingOptions { Rank = 40, Alpha = 30 }).Form,
        "sltrain" => new SltrainParameterization(new SltrainOptions { Rank = 5, Alpha = 7, Density = 0.1 }).Form,
        "sparse" => new SparseParameterization(new SparseOptions { Sparsity = 0.75 }).Form,
        "mlp-only" => new SltrainParameterization(new SltrainOptions { Rank = 5, Density = 0.2, Targets = [WeightTarget.Mlp] }).Form,
        _ => throw new ArgumentOutOfRangeException(nameof(name)),
    };

    public static DecoderConfig Config(ModelFamily family) => new()
    {
        Family = family, Vocabulary = 67, Context = 16, Width = 64, Layers = 2, Heads = 4, HeadWidth = 16,
        KeyValueHeads = family == ModelFamily.Gpt2 ? 4 : 2, Intermediate = 48, TiedHead = family == ModelFamily.Gpt2, InitializerRange = 0.1,
    };
}
