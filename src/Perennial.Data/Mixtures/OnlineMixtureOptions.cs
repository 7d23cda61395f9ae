using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Data.Mixtures;

/// <summary>What all mixtures that follow losses have in common.</summary>
public abstract record OnlineMixtureOptions : IValidatedOptions
{
    /// <summary>How often losses are measured and weights chosen anew.</summary>
    public RunLength Every { get; init; } = new(1.0 / 6, RunUnit.Fraction);

    /// <summary>Least share of every source.</summary>
    [Range(0.0, 0.5)]
    public double Floor { get; init; } = 0.001;

    /// <summary>Passes after which a source gets no more samples; 0 for no bound.</summary>
    [Range(0.0, 1e6)]
    public double Epochs { get; init; }

    /// <inheritdoc/>
    public virtual IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Every.Amount <= 0) yield return ("every", "must be above 0");
    }
}
