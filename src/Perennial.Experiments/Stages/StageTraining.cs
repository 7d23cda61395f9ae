using System.Text.Json.Nodes;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Data;
using Perennial.Data.Preparation;
using Perennial.Experiments.Measured;
using Perennial.Experiments.Runs;
using Perennial.Models;
using Perennial.Models.HuggingFace;
using Perennial.Resilience;
using Perennial.Training.Recipes;

namespace Perennial.Experiments.Stages;

/// <summary>Trains the stages of an experiment one after another, each a run of its own in the experiment's folder, so that a stop loses no finished stage.</summary>
internal sealed class StageTraining(ExperimentContext context)
{
    private readonly TrainingTrialRunner runner = new(context.Components);

    /// <summary>Floating-point operations spent so far, as counted.</summary>
    public double Flops { get; private set; }

    /// <summary>Tokens trained on so far.</summary>
    public long Tokens { get; private set; }

    /// <summary>Parameters of the last model trained.</summary>
    public long Parameters { get; private set; }

    /// <summary>Trains a recipe to its end and returns the folder of its last checkpoint.</summary>
    /// <param name="name">Name of the stage's folder.</param>
    /// <param name="recipe">Its recipe.</param>
    public string Train(string name, RecipeNode recipe) => Train(name, recipe, out _);

    /// <summary>Trains a recipe to its end and returns the folder of its last checkpoint and what was measured.</summary>
    public string Train(string name, RecipeNode recipe, out TrialOutcome outcome)
    {
        var folder = FolderOf(name);
        outcome = runner.Run(recipe, folder, new Silent(), context.Cancellation);
        Flops += outcome.Flops;
        Tokens += outcome.Tokens;
        Parameters = outcome.Parameters;
        return new CheckpointStore(Path.Combine(folder, "checkpoints")).Newest(_ => { })?.Folder ?? throw PerennialException.Damaged($"{folder}: the stage left no checkpoint");
    }

    /// <summary>The checkpoint of a stage after some steps; the stage must have kept it.</summary>
    public string CheckpointOf(string name, long step) => new CheckpointStore(Path.Combine(FolderOf(name), "checkpoints")).FolderOf(step);

    /// <summary>A place in the experiment's folder.</summary>
    public string FolderOf(string name) => Path.Combine(context.Folder, name);

    /// <summary>Writes documents, one JSON line each, and returns the file.</summary>
    public string Write(string name, IEnumerable<string> documents)
    {
        var path = FolderOf(name + ".jsonl");
        AtomicFile.WriteText(path, string.Concat(documents.Select(text => new JsonObject { ["text"] = text }.ToJsonString() + "\n")));
        return path;
    }

    /// <summary>Trains a tokenizer on files, as the recipe says, and returns the folder that holds it.</summary>
    public string Tokenizer(RecipeNode recipe, params string[] files)
    {
        var folder = FolderOf("tokenizer");
        if (File.Exists(Path.Combine(folder, "tokenizer.json"))) return folder;
        var bound = new RecipeLoader(context.Components).Bind(recipe.With("data.sources", $"[{string.Join(", ", files.Select(file => $"{{ path: {file} }}"))}]"));
        using var data = DataPreparation.Prepare(bound.Data, bound.Seed);
        Directory.CreateDirectory(folder);
        data.Tokenizer.Save(folder);
        return folder;
    }

    /// <summary>Loads a checkpoint in float32.</summary>
    public static Decoder Load(string folder)
    {
        var config = ConfigJson.Read(folder);
        var model = new Decoder(config);
        WeightFiles.Read(folder, config, model.Parameters.Layout, model.Parameters.Values);
        model.ParametersChanged();
        return model;
    }

    private sealed class Silent : IProgress<double>
    {
        public void Report(double value) { }
    }
}
