using System.ComponentModel.DataAnnotations;
using System.Text;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.Tokenizers;
using Perennial.Core;
using Perennial.Data.Curation;
using Perennial.Data.Tokenizers;

namespace Perennial.Data.Deduplication;

/// <summary>Options of <see cref="OnnxEmbedder"/>.</summary>
public sealed record OnnxEmbedderOptions : IReadsFiles
{
    /// <summary>The encoder, an <c>.onnx</c> file.</summary>
    [Required]
    public string Path { get; init; } = "";

    /// <summary>Its tokenizer: a BERT vocabulary (<c>vocab.txt</c>) or a byte-level BPE <c>tokenizer.json</c>.</summary>
    [Required]
    public string Tokenizer { get; init; } = "";

    /// <summary>Whether a BERT tokenizer lowers its text first, as uncased models want.</summary>
    public bool Lowercase { get; init; } = true;

    /// <summary>Tokens of a text that count; what follows does not.</summary>
    [Range(2, 8192)]
    public int Length { get; init; } = 256;

    /// <inheritdoc/>
    public IEnumerable<string> Files() => [Path, Tokenizer];
}

/// <summary>
/// Any encoder in ONNX: takes <c>input_ids</c> (and, where the model has them, <c>attention_mask</c>, <c>token_type_ids</c>), <c>[1, tokens]</c>;
/// of an output <c>[1, tokens, width]</c> the mean over tokens counts (Reimers and Gurevych, arXiv 1908.10084), an output <c>[1, width]</c> as it is.
/// </summary>
[Component("onnx")]
public sealed class OnnxEmbedder : IEmbedder, IDisposable
{
    private readonly OnnxEmbedderOptions options;
    private readonly InferenceSession session;
    private readonly Func<string, IReadOnlyList<int>> encode;

    /// <summary>Loads the encoder.</summary>
    /// <exception cref="PerennialException">Exit 2: a file is missing, or the model takes something else than tokens. Exit 3: it is damaged.</exception>
    public OnnxEmbedder(OnnxEmbedderOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        this.options = options;
        foreach (var file in options.Files())
            if (!File.Exists(file)) throw PerennialException.Usage($"embedder onnx: {file} does not exist");
        encode = Encoder(options);
        // One thread a text: texts come on all threads, and the bits do not depend on how many there are.
        using var settings = new SessionOptions { IntraOpNumThreads = 1, InterOpNumThreads = 1, LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR };
        try
        {
            session = new InferenceSession(options.Path, settings);
        }
        catch (OnnxRuntimeException error)
        {
            throw PerennialException.Damaged($"{options.Path}: is no model that ONNX Runtime can load: {error.Message}");
        }
        foreach (var (name, input) in session.InputMetadata)
            if (name is not ("input_ids" or "attention_mask" or "token_type_ids") || input.ElementType != typeof(long))
                throw PerennialException.Usage($"{options.Path}: has an input '{name}' of {input.ElementType.Name}; an encoder takes input_ids, attention_mask and token_type_ids as 64-bit integers");
        Width = Run("a").Length;
    }

    /// <inheritdoc/>
    public int Width { get; }

    /// <inheritdoc/>
    public void Embed(ReadOnlySpan<byte> text, Span<float> vector) => Run(Encoding.UTF8.GetString(text)).CopyTo(vector);

    /// <inheritdoc/>
    public void Dispose() => session.Dispose();

    private static Func<string, IReadOnlyList<int>> Encoder(OnnxEmbedderOptions options)
    {
        if (options.Tokenizer.EndsWith(".json", StringComparison.Ordinal))
        {
            var loaded = TokenizerJson.Load(options.Tokenizer);
            return text =>
            {
                var ids = new List<int>();
                loaded.Encode(Encoding.UTF8.GetBytes(text), ids);
                return ids.Count > options.Length ? ids[..options.Length] : ids;
            };
        }
        try
        {
            var bert = BertTokenizer.Create(options.Tokenizer, new BertOptions { LowerCaseBeforeTokenization = options.Lowercase });
            return text => bert.EncodeToIds(text, options.Length, addSpecialTokens: true, out _, out _);
        }
        catch (Exception error) when (error is ArgumentException or InvalidOperationException or IOException)
        {
            throw PerennialException.Damaged($"{options.Tokenizer}: is no BERT vocabulary (one token a line): {error.Message}");
        }
    }

    private float[] Run(string text)
    {
        var ids = encode(text);
        if (ids.Count == 0) return new float[Width];
        long[] shape = [1, ids.Count];
        var inputs = session.InputMetadata.Keys.ToDictionary(name => name, name => OrtValue.CreateTensorValueFromMemory<long>(
            [.. name switch { "input_ids" => ids.Select(id => (long)id), "attention_mask" => ids.Select(_ => 1L), _ => ids.Select(_ => 0L) }], shape));
        try
        {
            using var run = new RunOptions();
            using var outputs = session.Run(run, inputs, [session.OutputNames[0]]);
            var values = outputs[0].GetTensorDataAsSpan<float>();
            var dimensions = outputs[0].GetTensorTypeAndShape().Shape;
            if (dimensions.Length is not (2 or 3)) throw PerennialException.Usage($"{options.Path}: its first output has {dimensions.Length} dimensions; an encoder's has [1, tokens, width] or [1, width]");
            var vector = new float[dimensions[^1]];
            for (var first = 0; first < values.Length; first += vector.Length)
                for (var i = 0; i < vector.Length; i++) vector[i] += values[first + i];
            for (var i = 0; i < vector.Length; i++) vector[i] *= (float)vector.Length / values.Length;
            return vector;
        }
        finally
        {
            foreach (var input in inputs.Values) input.Dispose();
        }
    }
}
