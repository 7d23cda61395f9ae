using Perennial.Core;
using Perennial.Data;
using Perennial.Data.Tokenizers;
using Perennial.Models;
using Perennial.Models.HuggingFace;
using Perennial.Resilience;
using Perennial.Tensors;

namespace Perennial.Training.Checkpoints;

/// <summary>A model and its tokenizer, opened from a Hugging Face folder, a checkpoint, or a run folder (its newest whole checkpoint).</summary>
/// <param name="Folder">The folder that was opened.</param>
/// <param name="Model">The model, float32.</param>
/// <param name="Tokenizer">Its tokenizer.</param>
public sealed record CheckpointModel(string Folder, ILanguageModel Model, ITokenizer Tokenizer) : IDisposable
{
    /// <summary>Opens a model for scoring and generation.</summary>
    /// <param name="path">A run folder, a checkpoint or any Hugging Face folder of a supported family.</param>
    /// <param name="passedOver">Told of damaged checkpoints that are passed over.</param>
    /// <exception cref="PerennialException">Exit 2: nothing there. Exit 3: damaged, or tokenizer and model do not belong together.</exception>
    public static CheckpointModel Open(string path, Action<string> passedOver)
    {
        var folder = Locate(path, passedOver);
        var config = ConfigJson.Read(folder);
        if (!File.Exists(System.IO.Path.Combine(folder, "tokenizer.json"))) throw PerennialException.Damaged($"{folder}: has no tokenizer.json; copy the one the model was trained with");
        var tokenizer = TokenizerJson.Load(folder);
        if (tokenizer.VocabularySize > config.Vocabulary)
            throw PerennialException.Damaged($"{folder}: the tokenizer has {tokenizer.VocabularySize} ids, the model's embedding {config.Vocabulary} rows; this is not the model's tokenizer");
        var model = new Decoder(config);
        try
        {
            WeightFiles.Read(folder, config, model.Parameters.Layout, model.Parameters.Values);
            model.ParametersChanged();
            return new CheckpointModel(folder, model, tokenizer);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>The checkpoint folder that a path means.</summary>
    /// <exception cref="PerennialException">Exit 2: nothing there. Exit 3: a run folder without a whole checkpoint.</exception>
    public static string Locate(string path, Action<string> passedOver)
    {
        ArgumentNullException.ThrowIfNull(path);
        if (File.Exists(System.IO.Path.Combine(path, ConfigJson.FileName))) return path;
        if (!Directory.Exists(path)) throw PerennialException.Usage($"{path}: no such folder; give a run folder, a checkpoint or a Hugging Face folder");
        foreach (var root in new[] { System.IO.Path.Combine(path, "checkpoints"), path })
        {
            var store = new CheckpointStore(root);
            if (store.List().Count == 0) continue;
            return store.Newest(passedOver)?.Folder ?? throw PerennialException.Damaged($"{path}: no checkpoint is whole");
        }
        throw PerennialException.Usage($"{path}: holds no checkpoint (no config.json, no checkpoints/step-N)");
    }

    /// <inheritdoc/>
    public void Dispose() => Model.Dispose();
}
