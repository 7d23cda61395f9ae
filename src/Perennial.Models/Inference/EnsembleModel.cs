using Perennial.Core;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models;

/// <summary>
/// Several models of one vocabulary as one, by the mean of their logits: softmax of the mean of log-probabilities is the same (Kim et al.
/// 2025, arXiv 2509.14786, section 4). Its hidden states are the members' side by side, <c>[batch, time, Σ width]</c>, and its
/// unembedding the members' side by side over their number, so whatever scores a model by hidden states and head scores an ensemble.
/// It is for scoring: it has no parameters of its own.
/// </summary>
public sealed class EnsembleModel : ILanguageModel
{
    private readonly IReadOnlyList<ILanguageModel> members;

    /// <summary>Takes the members over; they are disposed with it.</summary>
    /// <exception cref="PerennialException">Exit 2: no member, or members of different vocabularies.</exception>
    public EnsembleModel(IReadOnlyList<ILanguageModel> members)
    {
        ArgumentNullException.ThrowIfNull(members);
        if (members.Count == 0) throw PerennialException.Usage("an ensemble needs at least one member");
        if (members.FirstOrDefault(member => member.Config.Vocabulary != members[0].Config.Vocabulary) is { } other)
            throw PerennialException.Usage($"an ensemble's members must have one vocabulary; {members[0].Config.Vocabulary} and {other.Config.Vocabulary} were given");
        this.members = members;
        Config = members[0].Config with { Dropout = 0, Context = members.Min(member => member.Config.Context) };
        Parameters = new FlatParameters(FlatLayout.Of(Array.Empty<FlatEntry>()));
    }

    /// <summary>The members.</summary>
    public IReadOnlyList<ILanguageModel> Members => members;

    /// <summary>The first member's configuration, with the shortest context of all.</summary>
    public DecoderConfig Config { get; }

    /// <summary>None: members keep their own.</summary>
    public FlatParameters Parameters { get; }

    /// <inheritdoc/>
    public Precision Precision => members[0].Precision;

    /// <summary>None: an ensemble does not train.</summary>
    public DropoutKey? Dropout { get; set; }

    /// <inheritdoc/>
    public string HeadName => members[0].HeadName;

    /// <inheritdoc/>
    public Tensor Hidden(ModelInput input)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        return cat([.. members.Select(member => member.Hidden(input).to_type(ScalarType.Float32))], -1).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public Tensor HeadWeight()
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        return (cat([.. members.Select(member => member.HeadWeight().to_type(ScalarType.Float32))], 1) / members.Count).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void ParametersChanged()
    {
        foreach (var member in members) member.ParametersChanged();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var member in members) member.Dispose();
        Parameters.Dispose();
    }
}
