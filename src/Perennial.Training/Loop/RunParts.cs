using Perennial.Data;
using Perennial.Data.Preparation;
using Perennial.Data.Streams;
using Perennial.Models;
using Perennial.Objectives;
using Perennial.Optimization;
using Perennial.Tensors;
using Perennial.Training.HeldOut;
using Perennial.Training.Recipes;
using Perennial.Training.State;

namespace Perennial.Training.Loop;

/// <summary>Everything that a resolved recipe is made into: data, model, optimizer, practices and the state that ties them.</summary>
public sealed class RunParts : IDisposable
{
    private RunParts(Recipe recipe, PreparedData data)
    {
        (Recipe, Data) = (recipe, data);
        var architecture = recipe.Model.Create();
        Config = architecture.Describe(data.Tokenizer.VocabularySize, data.Tokenizer.EndOfText);
        var stream = new SampleStream(data, recipe.Data, Config.Context, recipe.Seed);
        Stream = stream;
        Delivered = stream.Delivered;
        TokensPerStep = (long)recipe.Training.Batch * Config.Context;
        TotalSteps = recipe.Training.TotalSteps(TokensPerStep);
        var precision = recipe.Training.Precision == PrecisionChoice.Bfloat16 ? Precision.Bfloat16 : Precision.Float32;
        var execution = new DecoderExecution { CheckpointActivations = recipe.Training.CheckpointActivations, SharedGradients = recipe.Training.PerLayer };
        var form = recipe.Parameterization.Create().Form;
        var map = form.IsPlain ? null : new WeightMap(Config, form, recipe.Seed);
        if (architecture.InitialCheckpoint is { } folder)
        {
            var decoder = new Decoder(Config, precision, execution, map);
            InitialWeights.Load(folder, decoder, data.Tokenizer, recipe.Seed);
            Model = decoder;
        }
        else
            Model = Decoder.Fresh(Config, recipe.Seed, precision, execution, map);
        Objective = recipe.Objective.Create();
        Optimizer = recipe.Optimizer.Create(Model.Parameters);
        Rates = (IOptimizerOptions)recipe.Optimizer.Options!;
        Schedule = recipe.Schedule.Create();
        Restarts = form.Restarts is null ? null : new Restarts(form.Restarts, Model, Optimizer, recipe);
        Practices = [.. recipe.Practices.Select(practice => practice.Create(Model.Parameters, new PracticeSetup(TotalSteps, TokensPerStep, recipe.Seed)))];
        if (recipe.Training.PerLayer) PerLayerUpdates.Require(recipe, Optimizer, Rates, Practices);
        State = new TrainingState(Model.Parameters, [.. Optimizer.Slots, .. Model.Map?.Slots ?? [], .. Practices.SelectMany((practice, i) => practice.Slots.Select(slot => slot with { Name = $"practice-{i}.{slot.Name}" }))]);
        Text = EvaluationText.HeldOut(data) is { Tokens: > 0 } text ? text : null;
        Tasks = [.. recipe.Evaluation.Tasks.Select(task => (task.Kind, task.Create()))];
    }

    /// <summary>The resolved recipe.</summary>
    public Recipe Recipe { get; }

    /// <summary>Prepared data.</summary>
    public PreparedData Data { get; }

    /// <summary>The model's configuration.</summary>
    public DecoderConfig Config { get; }

    /// <summary>The sample stream.</summary>
    public ISampleStream Stream { get; }

    /// <summary>Samples each source gave among the first n.</summary>
    public Func<long, IReadOnlyList<long>> Delivered { get; }

    /// <summary>Tokens of one step.</summary>
    public long TokensPerStep { get; }

    /// <summary>Planned steps.</summary>
    public long TotalSteps { get; }

    /// <summary>The model.</summary>
    public ILanguageModel Model { get; }

    /// <summary>The objective.</summary>
    public IObjective Objective { get; }

    /// <summary>The optimizer.</summary>
    public IOptimizer Optimizer { get; }

    /// <summary>Peak rate and clip.</summary>
    public IOptimizerOptions Rates { get; }

    /// <summary>The schedule.</summary>
    public ISchedule Schedule { get; }

    /// <summary>What happens to the parts of matrices and the optimizer every so many steps; null for nothing.</summary>
    public Restarts? Restarts { get; }

    /// <summary>Practices in the recipe's order.</summary>
    public IReadOnlyList<IPractice> Practices { get; }

    /// <summary>The training state.</summary>
    public TrainingState State { get; }

    /// <summary>Held-out text; null when the recipe holds none out.</summary>
    public EvaluationText? Text { get; }

    /// <summary>Evaluation tasks with the recipe's words for them.</summary>
    public IReadOnlyList<(string Kind, IEvaluationTask Task)> Tasks { get; }

    /// <summary>Prepares data and makes everything. Nothing is written but prepared data in the cache.</summary>
    /// <exception cref="Core.PerennialException">Exit 2 or 3, as the recipe's parts find.</exception>
    public static RunParts Make(Recipe recipe, Action<string>? notify, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(recipe);
        var data = DataPreparation.Prepare(recipe.Data, recipe.Seed, notify, cancellation);
        try
        {
            return new RunParts(recipe, data);
        }
        catch
        {
            data.Dispose();
            throw;
        }
    }

    /// <summary>Hash of the present state.</summary>
    public string HashState() => StateHash.Of(State, Stream.Fingerprint, Recipe.Seed);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var practice in Practices) practice.Dispose();
        Optimizer.Dispose();
        Model.Dispose();
        Data.Dispose();
    }
}

/// <summary>What a practice's constructor may ask for beside its options and <see cref="FlatParameters"/>.</summary>
/// <param name="TotalSteps">Planned steps.</param>
/// <param name="TokensPerStep">Tokens of one step.</param>
/// <param name="Seed">The run's seed.</param>
public sealed record PracticeSetup(long TotalSteps, long TokensPerStep, ulong Seed);
