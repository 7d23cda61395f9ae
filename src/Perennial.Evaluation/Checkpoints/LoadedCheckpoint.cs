using Perennial.Core;
using Perennial.Data;
using Perennial.Data.Tokenizers;
using Perennial.Models;
using Perennial.Models.HuggingFace;
using Perennial.Resilience;
using Perennial.Tensors;
using Perennial.Training.Checkpoints;

namespace Perennial.Evaluation.Checkpoints;

/// <summary>A model and its tokenizer, read from a folder.</summary>
/// <param name="Folder">The checkpoint's folder.</param>
/// <param name="RunFolder">The run it belongs to; null for a folder from elsewhere.</param>
/// <param name="Model">The model.</param>
/// <param name="Tokenizer">Its tokenizer.</param>
public sealed record LoadedCheckpoint(string Folder, string? RunFolder, ILanguageModel Model, ITokenizer Tokenizer) : IDisposable
{
    private const string TokenizerFile = "tokenizer.json", CheckpointsFolder = "checkpoints";

    /// <summary>
    /// Reads a checkpoint folder (Hugging Face layout), or a run folder's newest whole checkpoint. A folder with a manifest is verified
    /// against it first.
    /// </summary>
    /// <param name="path">The folder.</param>
    /// <param name="notify">Told which checkpoints of a run were passed over, and why.</param>
    /// <param name="precision">Precision of matrix products.</param>
    /// <exception cref="PerennialException">Exit 2: there is nothing like a checkpoint. Exit 3: it is damaged, or its tokenizer is not the model's.</exception>
    public static LoadedCheckpoint Open(string path, Action<string> notify, Precision precision = Precision.Float32)
    {
        if (File.Exists(Path.Combine(path, EnsembleFolder.FileName))) return OpenEnsemble(path, notify, precision);
        var (folder, run) = Find(path, notify);
        var config = ConfigJson.Read(folder);
        if (!File.Exists(Path.Combine(folder, TokenizerFile))) throw PerennialException.Damaged($"{folder}: has no {TokenizerFile}; put the tokenizer there that the model was trained with");
        var tokenizer = TokenizerJson.Load(Path.Combine(folder, TokenizerFile), () => EndOfText(folder, config, notify));
        if (tokenizer.VocabularySize > config.Vocabulary)
        {
            throw PerennialException.Damaged(
                $"{Path.Combine(folder, TokenizerFile)}: has {tokenizer.VocabularySize} tokens, but the model knows {config.Vocabulary}; put the tokenizer there that the model was trained with");
        }
        var isSharded = ShardedCheckpoint.IsIn(folder);
        if (!isSharded) WeightFiles.Check(folder, config);
        var model = new Decoder(config, precision);
        try
        {
            if (isSharded) ShardedCheckpoint.ReadWeights(folder, config, model.Parameters.Values);
            else WeightFiles.Read(folder, config, model.Parameters.Layout, model.Parameters.Values);
            model.ParametersChanged();
            return new LoadedCheckpoint(folder, run, model, tokenizer);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>The checkpoint folder that a path means: the path itself, or a run folder's newest whole checkpoint.</summary>
    /// <exception cref="PerennialException">Exit 2: there is nothing like a checkpoint. Exit 3: it is damaged.</exception>
    public static string Locate(string path, Action<string> notify) => Find(path, notify).Folder;

    /// <inheritdoc/>
    public void Dispose() => Model.Dispose();

    private static LoadedCheckpoint OpenEnsemble(string folder, Action<string> notify, Precision precision)
    {
        var members = new List<LoadedCheckpoint>();
        try
        {
            foreach (var member in EnsembleFolder.Members(folder)) members.Add(Open(member, notify, precision));
            if (members.FirstOrDefault(member => member.Tokenizer.Fingerprint != members[0].Tokenizer.Fingerprint) is { } other)
                throw PerennialException.Damaged($"{folder}: its members {members[0].Folder} and {other.Folder} have different tokenizers");
            return new LoadedCheckpoint(folder, null, new EnsembleModel([.. members.Select(member => member.Model)]), members[0].Tokenizer);
        }
        catch
        {
            foreach (var member in members) member.Dispose();
            throw;
        }
    }

    /// <summary>For a tokenizer that names no end of text: the model's own, or id 0, which is told.</summary>
    private static int EndOfText(string folder, DecoderConfig config, Action<string> notify)
    {
        if (config.EndOfText is { } end && end >= 0 && end < config.Vocabulary) return end;
        notify($"{folder}: neither {TokenizerFile} nor {ConfigJson.FileName} names an end-of-text token; id 0 stands for it");
        return 0;
    }

    private static (string Folder, string? Run) Find(string path, Action<string> notify)
    {
        if (!Directory.Exists(path)) throw PerennialException.Usage($"{path}: no such folder; give a run folder or a checkpoint folder");
        var checkpoints = Path.Combine(path, CheckpointsFolder);
        if (Directory.Exists(checkpoints))
        {
            return new CheckpointStore(checkpoints).Newest(notify) is { } newest
                ? (newest.Folder, path)
                : throw PerennialException.Damaged($"{checkpoints}: holds no whole checkpoint; train the run again to make one");
        }
        var parent = Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(path)));
        if (!File.Exists(Path.Combine(path, CheckpointManifest.FileName))) return (path, null);
        if (CheckpointStore.Problem(new CheckpointEntry(0, path)) is { } problem) throw PerennialException.Damaged($"{path}: the checkpoint is damaged: {problem}");
        return (path, Path.GetFileName(parent) == CheckpointsFolder ? Path.GetDirectoryName(parent) : null);
    }
}
