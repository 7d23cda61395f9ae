using Perennial.Data.Preparation;
using Perennial.Training.Recipes;

namespace Perennial.Training.HeldOut;

/// <summary>A text that stages are measured on: the held-out text of some sources.</summary>
/// <param name="Name">The name of the first stage that learns it, or of the source.</param>
/// <param name="Sources">Numbers of its sources.</param>
public sealed record StageText(string Name, IReadOnlyList<int> Sources);

/// <summary>
/// A run's held-out text: all of it, and for a run of stages one text for every stage's set of sources and for every source that is not
/// alone in one. Every source is scored once, whatever texts it is part of.
/// </summary>
public sealed class HeldOutTexts
{
    private readonly IReadOnlyList<EvaluationText> sources;

    /// <summary>The texts of prepared data.</summary>
    /// <param name="data">The run's data.</param>
    /// <param name="stages">The run's stages.</param>
    /// <param name="limit">At most so many tokens a source, whole documents; null for all.</param>
    public HeldOutTexts(PreparedData data, IReadOnlyList<StageRecipe> stages, long? limit)
    {
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(stages);
        sources = [.. Enumerable.Range(0, data.HeldOut.Count).Select(source => EvaluationText.OfSource(data, source, limit, stages[0].Recipe.Data))];
        All = sources.Sum(source => source.Tokens) > 0 ? EvaluationText.Join("held-out", sources) : null;
        if (All is null || stages is [{ Name: "" }])
        {
            (Columns, Own) = ([], [.. stages.Select(_ => -1)]);
            return;
        }
        var (columns, own) = (new List<StageText>(), new List<int>());
        foreach (var stage in stages)
        {
            IReadOnlyList<int> mine = [.. Enumerable.Range(0, sources.Count).Where(source => stage.Recipe.Data.Sources[source].Weight > 0)];
            var known = columns.FindIndex(column => column.Sources.SequenceEqual(mine));
            own.Add(known >= 0 ? known : columns.Count);
            if (known < 0) columns.Add(new StageText(stage.Name, mine));
        }
        for (var source = 0; source < sources.Count; source++)
        {
            if (columns.Any(column => column.Sources is [var only] && only == source)) continue;
            var name = Path.GetFileNameWithoutExtension(data.Statistics[source].Path);
            columns.Add(new StageText(columns.Any(column => column.Name == name) ? $"{name} (source {source})" : name, [source]));
        }
        // A text without a held-out token has nothing to say.
        (Columns, Own) = (columns, own);
    }

    /// <summary>All held-out text; null where nothing is held out.</summary>
    public EvaluationText? All { get; }

    /// <summary>The texts that stages are measured on; none for a run without stages.</summary>
    public IReadOnlyList<StageText> Columns { get; }

    /// <summary>For every stage the number of its own text among <see cref="Columns"/>; -1 in a run without stages.</summary>
    public IReadOnlyList<int> Own { get; }

    /// <summary>The sources' texts in the run's order, possibly without tokens.</summary>
    public IReadOnlyList<EvaluationText> Sources => sources;

    /// <summary>Scores of a set of sources, from those of each.</summary>
    public static TextScores Join(string name, IReadOnlyList<TextScores> parts)
    {
        ArgumentNullException.ThrowIfNull(parts);
        return new TextScores(EvaluationText.Join(name, [.. parts.Select(part => part.Text)]), [.. parts.SelectMany(part => part.Nats)], [.. parts.SelectMany(part => part.Greedy)]);
    }
}
