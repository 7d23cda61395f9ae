using System.Text.Json.Nodes;
using Perennial.Training;

namespace Perennial.Evaluation.Events;

/// <summary>
/// Everything a run told so far, as the report shows it. Folding live events and folding those of <c>metrics.jsonl</c> give the same
/// history, so a report can be made again from the run folder alone.
/// </summary>
public sealed class RunHistory
{
    private readonly List<StepDone> steps = [];
    private readonly List<StepRefused> refused = [];
    private readonly List<EvaluationDone> evaluations = [];
    private readonly List<SampleWritten> samples = [];
    private readonly List<CheckpointWritten> checkpoints = [];
    private readonly List<Recovered> recoveries = [];
    private readonly List<Notice> notices = [];
    private readonly List<StageMeasured> stageTexts = [];
    private readonly List<StageFinished> stages = [];
    private readonly List<long> resumes = [];

    /// <summary>The newest start; null before the first.</summary>
    public RunStarted? Started { get; private set; }

    /// <summary>Committed steps in order, each once.</summary>
    public IReadOnlyList<StepDone> Steps => steps;

    /// <summary>Steps that the policy did not commit.</summary>
    public IReadOnlyList<StepRefused> Refused => refused;

    /// <summary>Evaluations in order.</summary>
    public IReadOnlyList<EvaluationDone> Evaluations => evaluations;

    /// <summary>What the model wrote, in order.</summary>
    public IReadOnlyList<SampleWritten> Samples => samples;

    /// <summary>Checkpoints made durable.</summary>
    public IReadOnlyList<CheckpointWritten> Checkpoints => checkpoints;

    /// <summary>Recoveries from lost processes, in order.</summary>
    public IReadOnlyList<Recovered> Recoveries => recoveries;

    /// <summary>What was measured on the stages' texts, in order.</summary>
    public IReadOnlyList<StageMeasured> StageTexts => stageTexts;

    /// <summary>Finished stages, in order.</summary>
    public IReadOnlyList<StageFinished> Stages => stages;

    /// <summary>Lines for people.</summary>
    public IReadOnlyList<Notice> Notices => notices;

    /// <summary>Steps after which a later process took over.</summary>
    public IReadOnlyList<long> Resumes => resumes;

    /// <summary>What the mixture delivered so far; null when nothing was told.</summary>
    public MixtureMeasured? Mixture { get; private set; }

    /// <summary>How the run ended; null while it runs (or when it was killed).</summary>
    public RunResult? Result { get; private set; }

    /// <summary>The history of a run folder, from its <c>metrics.jsonl</c>.</summary>
    public static RunHistory Load(string runFolder)
    {
        var history = new RunHistory();
        foreach (var happened in MetricsFile.Read(runFolder)) history.Add(happened);
        return history;
    }

    /// <summary>Adds an event; a start on resume takes back what will be done again.</summary>
    public void Add(RunEvent happened)
    {
        switch (happened)
        {
            case RunStarted e: Start(e); break;
            case StepDone e: steps.Add(e); break;
            case StepRefused e: refused.Add(e); break;
            case EvaluationDone e:
                // A resume may score its first step again: the newest word counts.
                evaluations.RemoveAll(known => known.Step == e.Step && known.Task == e.Task && known.Weights == e.Weights);
                evaluations.Add(e);
                break;
            case StageMeasured e:
                stageTexts.RemoveAll(known => known.Step == e.Step && known.Stage == e.Stage && known.IsEnd == e.IsEnd && known.Weights == e.Weights);
                stageTexts.Add(e);
                break;
            case StageFinished e:
                stages.RemoveAll(known => known.Stage == e.Stage);
                stages.Add(e);
                break;
            case SampleWritten e:
                samples.RemoveAll(known => known.Step == e.Step && known.Prompt == e.Prompt);
                samples.Add(e);
                break;
            case CheckpointWritten e: checkpoints.Add(e); break;
            case MixtureMeasured e: Mixture = e; break;
            case Recovered e: recoveries.Add(e); break;
            case Notice e: notices.Add(e); break;
            case RunFinished e: Result = e.Result; break;
        }
    }

    private void Start(RunStarted start)
    {
        var from = start.StartStep;
        steps.RemoveAll(e => e.Step > from);
        refused.RemoveAll(e => e.Step > from);
        evaluations.RemoveAll(e => e.Step > from);
        samples.RemoveAll(e => e.Step > from);
        stageTexts.RemoveAll(e => e.Step > from);
        stages.RemoveAll(e => e.Step > from);
        checkpoints.RemoveAll(e => e.Step > from);
        resumes.RemoveAll(step => step >= from);
        if (from > 0) resumes.Add(from);
        // Facts as they read from file: a node built from an int does not convert to long, a parsed one does.
        Started = start with { Facts = (JsonObject)JsonNode.Parse(start.Facts.ToJsonString())! };
        Result = null;
    }
}
