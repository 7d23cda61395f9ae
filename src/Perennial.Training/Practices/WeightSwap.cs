using Perennial.Models;
using static TorchSharp.torch;

namespace Perennial.Training.Practices;

/// <summary>Lends a model other weights for a while; the own ones come back bit for bit.</summary>
public static class WeightSwap
{
    /// <summary>Runs <paramref name="body"/> with the model holding <paramref name="values"/> (<c>[length]</c>).</summary>
    public static void With(ILanguageModel model, Tensor values, Action body)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(body);
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var own = model.Parameters.Values.clone();
        try
        {
            model.Parameters.Values.copy_(values);
            model.ParametersChanged();
            body();
        }
        finally
        {
            model.Parameters.Values.copy_(own);
            model.ParametersChanged();
        }
    }
}
