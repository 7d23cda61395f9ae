using System.IO.Hashing;
using System.Text;
using Perennial.Data.Synthesis;
using Perennial.Models;
using Perennial.Models.Inference;
using Perennial.Tensors;

namespace Perennial.Evaluation.Checkpoints;

/// <summary>
/// A checkpoint of one's own answers: it goes on from the prompt. One request at a time, since a model's caches are not shared; of a prompt that is
/// longer than the context its last part counts.
/// </summary>
/// <param name="checkpoint">The model and its tokenizer; its owner disposes it.</param>
public sealed class CheckpointGenerator(LoadedCheckpoint checkpoint) : IGenerator, IDisposable
{
    private readonly SemaphoreSlim turn = new(1);

    /// <summary>Made of weights and tokenizer, not of the folder: a run's next checkpoint is another generator, a copy of this one is not.</summary>
    public string Id { get; } = $"checkpoint {Fingerprint(checkpoint)}";

    /// <inheritdoc/>
    public async Task<Generated> Generate(GenerationRequest request, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(request);
        var prompt = Encoding.UTF8.GetBytes(request.Prompt);
        var start = new List<int>();
        checkpoint.Tokenizer.Encode(prompt, start);
        if (start.Count == 0) start.Add(checkpoint.Tokenizer.EndOfText);
        // A seed is one for all documents; with the prompt in the key, their draws are independent.
        var options = new GenerationOptions { Tokens = request.Tokens, Temperature = request.Temperature, Seed = request.Seed ^ XxHash3.HashToUInt64(prompt), EndOfText = checkpoint.Tokenizer.EndOfText };
        await turn.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            var answer = new List<int>();
            foreach (var token in Generator.Generate(checkpoint.Model, start, options))
            {
                cancellation.ThrowIfCancellationRequested();
                answer.Add(token);
            }
            return new Generated(Encoding.UTF8.GetString(checkpoint.Tokenizer.Decode([.. answer])), start.Count + answer.Count);
        }
        finally
        {
            turn.Release();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => turn.Dispose();

    private static string Fingerprint(LoadedCheckpoint checkpoint)
    {
        var hash = new XxHash128();
        hash.Append(Encoding.UTF8.GetBytes(checkpoint.Tokenizer.Fingerprint));
        foreach (var model in checkpoint.Model is EnsembleModel { Members: var members } ? members : [checkpoint.Model]) TensorHash.Append(hash, model.Parameters.Values);
        return Convert.ToHexStringLower(hash.GetCurrentHash());
    }
}
