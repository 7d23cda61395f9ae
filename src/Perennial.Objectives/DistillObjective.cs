using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Data;
using Perennial.Data.Tokenizers;
using Perennial.Models;
using Perennial.Models.HuggingFace;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Objectives;

/// <summary>Options of <see cref="DistillObjective"/>.</summary>
public sealed record DistillOptions : IValidatedOptions
{
    /// <summary>Checkpoint folders of the teachers; several are one teacher by the mean of their logits.</summary>
    [MinLength(1)]
    public IReadOnlyList<string> Teachers { get; init; } = [];

    /// <summary>Share of the teacher's term in the loss; the rest is cross-entropy with the text.</summary>
    [Range(0.0, 1.0)]
    public double Share { get; init; } = 0.9;

    /// <summary>Temperature τ of both distributions in the teacher's term, which is multiplied by τ².</summary>
    [Range(0.01, 100.0)]
    public double Temperature { get; init; } = 1;

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Teachers.Count == 0) yield return ("teachers", "is needed: checkpoint folders, one or more");
    }
}

/// <summary>
/// Logit distillation: (1 − share) · cross-entropy + share · τ² · KL(teacher ‖ student), both at temperature τ (Hinton et al. 2015, arXiv
/// 1503.02531), nats a target. Teachers are read once and never trained; a chunk of tokens at a time, so no full logits exist.
/// </summary>
[Component("distill")]
public sealed class DistillObjective : IObjective, IDisposable
{
    private readonly DistillOptions options;
    private readonly EnsembleModel teacher;

    /// <summary>Reads the teachers.</summary>
    /// <exception cref="PerennialException">Exit 2: a teacher has another tokenizer or vocabulary. Exit 3: one is damaged.</exception>
    public DistillObjective(DistillOptions options, ITokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(tokenizer);
        this.options = options;
        var members = new List<ILanguageModel>();
        try
        {
            foreach (var folder in options.Teachers)
            {
                var config = ConfigJson.Read(folder);
                if (TokenizerJson.Load(folder).Fingerprint != tokenizer.Fingerprint)
                    throw PerennialException.Usage($"objective.teachers: {folder} has another tokenizer than this run; use data.tokenizer: {{ kind: file, path: {folder} }}");
                var member = new Decoder(config);
                members.Add(member);
                WeightFiles.Read(folder, config, member.Parameters.Layout, member.Parameters.Values);
                member.ParametersChanged();
            }
            teacher = new EnsembleModel(members);
        }
        catch
        {
            foreach (var member in members) member.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    /// <exception cref="PerennialException">Exit 2: the teacher's vocabulary or context is not the model's.</exception>
    public Tensor Loss(ILanguageModel model, TokenBatch batch, double normalizer)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(batch);
        if (teacher.Config.Vocabulary != model.Config.Vocabulary) throw PerennialException.Usage($"objective.teachers: know {teacher.Config.Vocabulary} tokens, the model {model.Config.Vocabulary}");
        if (teacher.Config.Context < batch.Time) throw PerennialException.Usage($"objective.teachers: have a context of {teacher.Config.Context}, windows have {batch.Time} tokens");
        var input = new ModelInput(tensor(batch.Inputs, batch.Rows, batch.Time), batch.Segments is null ? null : tensor(Array.ConvertAll(batch.Segments, number => (long)number), batch.Rows, batch.Time));
        var hidden = model.Hidden(input);
        return DistilledHeadLoss.apply(hidden, new DistilledHeadCall(
            model.Parameters, model.HeadName, model.HeadWeight().detach(), tensor(batch.Targets), normalizer, options.Share, options.Temperature,
            teacher.Hidden(input).reshape(batch.Rows * batch.Time, -1), teacher.HeadWeight(), model.Config.TiedHead));
    }

    /// <inheritdoc/>
    public long Targets(TokenBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        return batch.Targets.LongCount(target => target != TokenBatch.Ignored);
    }

    /// <inheritdoc/>
    public void Dispose() => teacher.Dispose();
}
