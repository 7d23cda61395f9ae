using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Data;
using Perennial.Data.Mixtures;
using Perennial.Objectives;
using Perennial.Optimization;

namespace Perennial.Training.Recipes;

/// <summary>What a stage does with the optimizer's moments at its beginning.</summary>
public enum MomentRule
{
    /// <summary>They stay.</summary>
    Keep,

    /// <summary>They become zero, and the optimizer counts its steps anew.</summary>
    Reset,
}

/// <summary>
/// One stage of a continual recipe. What it leaves out is the recipe's own. Stages share model, tokenizer, batch, optimizer and seed; the
/// training state goes from one to the next.
/// </summary>
public sealed record StageOptions : IValidatedOptions
{
    /// <summary>Its name: what its held-out text is called, and the key of its order of samples (equal names read equal data in equal order).</summary>
    [RegularExpression("[a-z0-9]+(-[a-z0-9]+)*")]
    public required string Name { get; init; }

    /// <summary>Its text; the recipe's when not given.</summary>
    public StageDataOptions? Data { get; init; }

    /// <summary>
    /// A run folder or checkpoint that has this stage behind it already (the first stage only): its weights, and its moments where they are kept and it has
    /// them, are taken over instead of trained. What it read of this stage's text counts as seen, for replay and for importance.
    /// </summary>
    public string? From { get; init; }

    /// <summary>Tokens to train on; give this or <see cref="Steps"/>, or neither for the recipe's. New tokens where replay is charged on top of them.</summary>
    [Range(1, long.MaxValue)]
    public Count? Tokens { get; init; }

    /// <summary>Steps to train, replayed samples included.</summary>
    [Range(1, long.MaxValue)]
    public Count? Steps { get; init; }

    /// <summary>Peak learning rate; the optimizer's when not given.</summary>
    [Range(0.0, 100)]
    public double? Rate { get; init; }

    /// <summary>Whether the optimizer's moments stay.</summary>
    public MomentRule Moments { get; init; } = MomentRule.Keep;

    /// <summary>The learning rate's shape over this stage; the recipe's when not given.</summary>
    public ComponentSpec<ISchedule>? Schedule { get; init; }

    /// <summary>What is learned; the recipe's when not given.</summary>
    public ComponentSpec<IObjective>? Objective { get; init; }

    /// <summary>Practices of this stage; the recipe's when not given. Equal entries of several stages are one practice that goes on.</summary>
    public IReadOnlyList<ComponentSpec<IPractice>>? Practices { get; init; }

    /// <summary>
    /// A branch: trained like any stage, measured and kept under <c>stages/</c>, and then left: the next stage goes on from the state before it.
    /// For an anneal that makes a finished model from a plateau. Its tokens count. Holds a second copy of the state in memory.
    /// </summary>
    public bool Branch { get; init; }

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (From is not null && (Tokens is not null || Steps is not null || Schedule is not null || Rate is not null || Branch)) yield return ("from", "takes the stage over as it is: tokens, steps, schedule, rate and branch have no place beside it");
        if (Tokens is not null && Steps is not null) yield return ("steps", "and 'tokens' say the same thing; give one of them");
    }
}

/// <summary>A stage's <c>data:</c>.</summary>
public sealed record StageDataOptions : IValidatedOptions
{
    /// <summary>Where its text comes from; the recipe's when not given.</summary>
    public IReadOnlyList<SourceOptions>? Sources { get; init; }

    /// <summary>The order of its windows; the recipe's when not given.</summary>
    public ComponentSpec<ISampleOrder>? Order { get; init; }

    /// <summary>The shares of its sources; the recipe's when not given.</summary>
    public ComponentSpec<IMixture>? Mixture { get; init; }

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Sources is not null && Sources.Sum(source => source.Weight) <= 0) yield return ("sources", "need at least one weight above 0");
    }
}
