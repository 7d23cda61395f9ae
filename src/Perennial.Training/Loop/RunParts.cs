using Perennial.Data;
using Perennial.Data.Preparation;
using Perennial.Data.Streams;
using Perennial.Models;
using Perennial.Objectives;
using Perennial.Optimization;
using Perennial.Tensors;
using Perennial.Training.HeldOut;
using Perennial.Training.Mixing;
using Perennial.Training.Parallel;
using Perennial.Training.Recipes;
using Perennial.Training.State;

namespace Perennial.Training.Loop;

/// <summary>Everything that a resolved recipe is made into: data, model, optimizer, practices and the state that ties them.</summary>
public sealed class RunParts : IDisposable
{
    private readonly RunParts? whole;
    private bool isReleased;

    /// <param name="recipe">The resolved recipe.</param>
    /// <param name="data">Prepared data.</param>
    /// <param name="place">The place in a parallel shape.</param>
    /// <param name="whole">The parts whose data and streams are shared; null to make them.</param>
    private RunParts(Recipe recipe, PreparedData data, ParallelPlace? place, RunParts? whole = null)
    {
        (Recipe, Data, this.whole) = (recipe, data, whole);
        var architecture = recipe.Model.Create();
        Config = architecture.Describe(data.Tokenizer.VocabularySize, data.Tokenizer.EndOfText);
        TokensPerStep = (long)recipe.Training.Batch * Config.Context;
        var planned = StageRecipe.Of(recipe);
        var practices = RunStage.DistinctPractices(planned);
        Stages = whole?.Stages ?? [.. planned.Select((stage, i) => new RunStage(i, stage, data, Config.Context, practices, LossesOf))];
        TotalSteps = Stages.Sum(stage => stage.Steps);
        var precision = recipe.Training.Precision == PrecisionChoice.Bfloat16 ? Precision.Bfloat16 : Precision.Float32;
        var execution = new DecoderExecution { CheckpointActivations = recipe.Training.CheckpointActivations, SharedGradients = recipe.Training.PerLayer };
        var form = recipe.Parameterization.Create().Form;
        var map = form.IsPlain ? null : new WeightMap(Config, form, recipe.Seed);
        if (place is not null)
        {
            Parallel = place.Make(recipe, Config, precision, execution);
            Model = Parallel.Model;
            // Parts of a run that is under way are given their state.
            if (whole is null) FillWeights();
        }
        else if (architecture.InitialCheckpoint is { } folder)
        {
            var decoder = new Decoder(Config, precision, execution, map);
            InitialWeights.Load(folder, decoder, data.Tokenizer, recipe.Seed);
            Model = decoder;
        }
        else
            Model = Decoder.Fresh(Config, recipe.Seed, precision, execution, map);
        Optimizer = recipe.Optimizer.Create(Parallel?.Trained ?? Model.Parameters);
        Rates = (IOptimizerOptions)recipe.Optimizer.Options!;
        Restarts = form.Restarts is null ? null : new Restarts(form.Restarts, Model, Optimizer, recipe);
        Practices = [.. practices.Select(practice => practice.Spec.Create(Model.Parameters, new PracticeSetup(TotalSteps, TokensPerStep, recipe.Seed, data.Train.Count)))];
        if (recipe.Training.PerLayer)
        {
            if (recipe.Stages.Count > 0) throw Core.PerennialException.Usage("training.per-layer: a run of stages looks at whole gradients; leave it out");
            PerLayerUpdates.Require(recipe, Optimizer, Rates, Practices);
        }
        IReadOnlyList<StateSlot> slots = [.. Optimizer.Slots, .. Model.Map?.Slots ?? [], .. Practices.SelectMany((practice, i) => practice.Slots.Select(slot => slot with { Name = $"practice-{i}.{slot.Name}" }))];
        Branches = planned.Any(stage => stage.Branch) ? new BranchSlots(Model.Parameters, slots) : null;
        State = new TrainingState(Parallel?.Kept ?? Model.Parameters, [.. slots, .. Branches?.Slots ?? []]);
        Texts = whole?.Texts ?? new HeldOutTexts(data, planned, recipe.Evaluation.Tokens?.Value);
        Tasks = whole?.Tasks ?? [.. recipe.Evaluation.Tasks.Select(task => (task.Kind, task.Create()))];
    }

    /// <summary>The resolved recipe.</summary>
    public Recipe Recipe { get; }

    /// <summary>Prepared data.</summary>
    public PreparedData Data { get; }

    /// <summary>The model's configuration.</summary>
    public DecoderConfig Config { get; }

    /// <summary>The stages; one for a run without.</summary>
    public IReadOnlyList<RunStage> Stages { get; }

    /// <summary>The stage of the next step.</summary>
    public RunStage Stage => Stages[State.Progress.Stage];

    /// <summary>What the present stage learns.</summary>
    public IObjective Objective => Stage.Objective;

    /// <summary>The present stage's samples.</summary>
    public SampleStream Stream => Stage.Stream;

    /// <summary>Hash of all that the stages' samples depend on.</summary>
    public string StreamFingerprint => string.Join(' ', Stages.Select(stage => stage.Stream.Fingerprint));

    /// <summary>Tokens of one step.</summary>
    public long TokensPerStep { get; }

    /// <summary>Planned steps of all stages.</summary>
    public long TotalSteps { get; }

    /// <summary>The model; under a parallel shape, this process's part.</summary>
    public ILanguageModel Model { get; }

    /// <summary>This process's place in a parallel shape; null where it has the whole model.</summary>
    public ParallelDecoder? Parallel { get; }

    /// <summary>The optimizer.</summary>
    public IOptimizer Optimizer { get; }

    /// <summary>Peak rate and clip.</summary>
    public IOptimizerOptions Rates { get; }

    /// <summary>What happens to the parts of matrices and the optimizer every so many steps; null for nothing.</summary>
    public Restarts? Restarts { get; }

    /// <summary>Practices of all stages, in the order in which the recipe names them.</summary>
    public IReadOnlyList<IPractice> Practices { get; }

    /// <summary>Those of the present stage.</summary>
    public IEnumerable<IPractice> ActivePractices => Stage.Practices.Select(i => Practices[i]);

    /// <summary>Where a branch keeps the state that it leaves; null for a run without branches.</summary>
    internal BranchSlots? Branches { get; }

    /// <summary>The training state.</summary>
    public TrainingState State { get; }

    /// <summary>The present stage as its schedule sees it.</summary>
    public SchedulePlan Plan => new(Stage.Steps, TokensPerStep) { FirstTotal = State.Progress.FirstTotal, EarlierTotals = State.Progress.EarlierTotals };

    /// <summary>The step from whose state a longer run can go on: where the last stage's final decay begins. Null before the last stage, and where that is its end.</summary>
    public long? TrunkStep => Stage.Index + 1 < Stages.Count || Stage.Schedule.TrunkEnd(Plan) >= Stage.Steps ? null : State.Progress.StageStart + Stage.Schedule.TrunkEnd(Plan);

    /// <summary>Held-out text, by source and by stage.</summary>
    public HeldOutTexts Texts { get; }

    /// <summary>Evaluation tasks with the recipe's words for them.</summary>
    public IReadOnlyList<(string Kind, IEvaluationTask Task)> Tasks { get; }

    /// <summary>Prepares data and makes everything. Nothing is written but prepared data in the cache.</summary>
    /// <param name="recipe">The resolved recipe.</param>
    /// <param name="notify">Takes progress lines.</param>
    /// <param name="cancellation">Stops the preparation.</param>
    /// <param name="place">This process's place in a parallel shape; null for the whole model.</param>
    /// <exception cref="Core.PerennialException">Exit 2 or 3, as the recipe's parts find.</exception>
    public static RunParts Make(Recipe recipe, Action<string>? notify, CancellationToken cancellation, ParallelPlace? place = null)
    {
        ArgumentNullException.ThrowIfNull(recipe);
        var data = DataPreparation.Prepare(recipe.Data with { Sources = StageRecipe.AllSources(recipe) }, recipe.Seed, notify, cancellation);
        try
        {
            return new RunParts(recipe, data, place);
        }
        catch
        {
            data.Dispose();
            throw;
        }
    }

    /// <summary>The same run in another place of another shape: model, optimizer and practices anew, over zeros; data and streams are shared and stay these parts'.</summary>
    /// <param name="place">The place.</param>
    /// <exception cref="Core.PerennialException">Exit 2: the model cannot be cut so.</exception>
    public RunParts Under(ParallelPlace place) => new(Recipe, Data, place, whole ?? this);

    /// <summary>The weights that the run begins with, in a place of a parallel shape.</summary>
    public void FillWeights()
    {
        if (Recipe.Model.Create().InitialCheckpoint is { } start) InitialWeights.Load(start, Parallel!, Data.Tokenizer);
        else Parallel!.Initialize(Recipe.Seed);
    }

    /// <summary>Frees model, optimizer and practices; data and streams stay.</summary>
    public void Release()
    {
        if (isReleased) return;
        isReleased = true;
        foreach (var practice in Practices) practice.Dispose();
        Branches?.Dispose();
        Optimizer.Dispose();
        if (Parallel is not null) Parallel.Dispose();
        else Model.Dispose();
    }

    /// <summary>What the losses of a stage's online mixture are measured on.</summary>
    public SourceProbe Probe(RunStage stage)
    {
        ArgumentNullException.ThrowIfNull(stage);
        return new(Data, stage.Recipe.Recipe.Data);
    }

    /// <summary>Held-out losses of every source under a checkpoint's weights.</summary>
    private IReadOnlyList<double> LossesOf(RunStage stage, string folder)
    {
        using var reference = new Decoder(Config, Model.Precision, new DecoderExecution());
        InitialWeights.Load(folder, reference, Data.Tokenizer, Recipe.Seed);
        return Probe(stage).Losses(reference);
    }

    /// <summary>Hash of the present state.</summary>
    public string HashState() => StateHash.Of(State, StreamFingerprint, Recipe.Seed);

    /// <inheritdoc/>
    public void Dispose()
    {
        Release();
        if (whole is not null) return;
        foreach (var stage in Stages) (stage.Objective as IDisposable)?.Dispose();
        Data.Dispose();
    }
}

/// <summary>What a practice's constructor may ask for beside its options and <see cref="FlatParameters"/>.</summary>
/// <param name="TotalSteps">Planned steps.</param>
/// <param name="TokensPerStep">Tokens of one step.</param>
/// <param name="Seed">The run's seed.</param>
/// <param name="Sources">Sources of the run.</param>
public sealed record PracticeSetup(long TotalSteps, long TokensPerStep, ulong Seed, int Sources = 1);
