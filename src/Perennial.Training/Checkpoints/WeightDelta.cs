using System.IO.Hashing;
using System.Text.Json;
using System.Text.Json.Nodes;
using Perennial.Core;
using Perennial.Core.Safetensors;
using Perennial.Data;
using Perennial.Data.Tokenizers;
using Perennial.Models;
using Perennial.Models.HuggingFace;
using Perennial.Models.Quantization;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Training.Checkpoints;

/// <summary>What a residual is, by tensor.</summary>
/// <param name="Name">The tensor.</param>
/// <param name="RelativeNorm">Norm of the residual over the norm of the base; NaN where the base is zero.</param>
/// <param name="Zeros">Share of entries that did not move.</param>
/// <param name="Corrections">Entries whose sum with the residual is not the tuned value after one rounding, and that carry what is missing.</param>
public sealed record DeltaTensor(string Name, double RelativeNorm, double Zeros, long Corrections);

/// <summary>What came of applying a residual.</summary>
/// <param name="Tensors">Tensors written.</param>
/// <param name="IsOwnBase">Whether every tensor is bit for bit the base that the residual was taken from.</param>
/// <param name="GrownRows">Rows that the vocabulary grew by.</param>
public sealed record DeltaApplication(int Tensors, bool IsOwnBase, long GrownRows);

/// <summary>
/// The difference of two checkpoints as a folder of its own, to be added to a third (instruction residuals, Jindal et al. 2024, arXiv
/// 2410.10739): Θ_r = Θ_tuned − Θ_base; Θ = Θ_continued + λ·Θ_r. Everything is float32, tensor by tensor, so the model's size does not
/// matter. The sum of a base and a rounded difference is not always the tuned value: what is missing is stored beside it, so a residual
/// on its own base gives the tuned model bit for bit. A tuned model may know more tokens at the end of the vocabulary: the base counts as
/// zero there, and the target grows.
/// </summary>
public static class WeightDelta
{
    /// <summary>The file of differences.</summary>
    public const string FileName = "delta.safetensors";

    private const string ManifestName = "delta.json", Correction = ".correction", Index = ".correction.index";

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>Writes tuned − base.</summary>
    /// <param name="basis">The base's folder.</param>
    /// <param name="tuned">The tuned model's folder.</param>
    /// <param name="target">A folder that does not exist yet.</param>
    /// <exception cref="PerennialException">Exit 2: other architectures or tokenizers, or the target exists. Exit 3: a checkpoint is damaged.</exception>
    public static IReadOnlyList<DeltaTensor> Create(string basis, string tuned, string target)
    {
        ArgumentNullException.ThrowIfNull(basis);
        ArgumentNullException.ThrowIfNull(tuned);
        FolderConversion.RequireNew(target);
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var (old, to) = (ConfigJson.Read(basis), ConfigJson.Read(tuned));
        RequireSame(old, to, basis, tuned);
        RequirePrefix(basis, tuned);
        using var first = Open(basis, old);
        using var second = Open(tuned, to);
        var told = new List<DeltaTensor>();
        var hashes = new JsonObject();
        var written = new List<SafetensorsTensor>();
        foreach (var entry in second.Layout.Entries)
        {
            using var step = NewDisposeScope();
            var (a, b) = (Grown(first.Read(entry.Name), entry.Shape), second.Read(entry.Name));
            var difference = b - a;
            var missing = (b - (a + difference)).reshape(-1);
            var places = missing.nonzero().reshape(-1);
            hashes[entry.Name] = Hash(a);
            var norm = a.norm().item<float>();
            told.Add(new DeltaTensor(entry.Name, norm > 0 ? difference.norm().item<float>() / norm : double.NaN, difference.eq(0).to_type(ScalarType.Float64).mean().item<double>(), places.NumberOfElements));
            // Made again while it is written: no more than one weight is held.
            written.Add(SafetensorsBridge.Made(entry.Name, entry.Shape, () =>
            {
                using var again = NewDisposeScope();
                return (second.Read(entry.Name) - Grown(first.Read(entry.Name), entry.Shape)).MoveToOuterDisposeScope();
            }));
            if (places.NumberOfElements == 0) continue;
            written.Add(SafetensorsTensor.Of(entry.Name + Index, SafetensorsType.I64, [places.NumberOfElements], places.bytes.ToArray()));
            written.Add(SafetensorsTensor.Of(entry.Name + Correction, SafetensorsType.F32, [places.NumberOfElements], missing.index_select(0, places).bytes.ToArray()));
        }
        FolderConversion.Into(target, folder =>
        {
            SafetensorsWriter.Write(Path.Combine(folder, FileName), written, new Dictionary<string, string>(StringComparer.Ordinal) { ["format"] = "perennial-delta" });
            ConfigJson.Write(to, folder);
            TokenizerJson.Load(tuned).Save(folder);
            AtomicFile.WriteText(Path.Combine(folder, ManifestName), new JsonObject { ["version"] = 1, ["base"] = hashes, ["base_vocabulary"] = old.Vocabulary }.ToJsonString(Indented) + "\n");
        });
        return told;
    }

    /// <summary>Writes basis + scale · residual.</summary>
    /// <param name="basis">Any model of the family: the base itself or its descendant.</param>
    /// <param name="delta">The residual's folder.</param>
    /// <param name="target">A folder that does not exist yet.</param>
    /// <param name="scale">λ.</param>
    /// <exception cref="PerennialException">Exit 2: another architecture or tokenizer, or the target exists. Exit 3: something is damaged.</exception>
    public static DeltaApplication Apply(string basis, string delta, string target, double scale = 1)
    {
        ArgumentNullException.ThrowIfNull(basis);
        ArgumentNullException.ThrowIfNull(delta);
        FolderConversion.RequireNew(target);
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var path = Path.Combine(delta, FileName);
        if (!File.Exists(path)) throw PerennialException.Usage($"{delta}: is no residual (it has no {FileName}); make one with 'checkpoint diff BASE TUNED --out {delta}'");
        var (old, to) = (ConfigJson.Read(basis), ConfigJson.Read(delta));
        RequireSame(old, to, basis, delta);
        RequirePrefix(basis, delta);
        var hashes = Manifest(Path.Combine(delta, ManifestName));
        using var reader = Open(basis, old);
        using var file = SafetensorsFile.Open(path);
        var layout = DecoderLayout.Of(to);
        var own = true;
        FolderConversion.Into(target, folder =>
        {
            WeightFiles.Write(layout, entry =>
            {
                using var step = NewDisposeScope();
                using var off = no_grad();
                var values = Grown(reader.Read(entry.Name), entry.Shape);
                own &= hashes[entry.Name]?.GetValue<string>() == Hash(values);
                if (file.Header.Find(entry.Name) is not { } stored || !stored.Shape.SequenceEqual(entry.Shape)) throw PerennialException.Damaged($"{path}: lacks tensor '{entry.Name}' of shape [{string.Join(", ", entry.Shape)}]");
                values.add_(file.Read(entry.Name, ScalarType.Float32), alpha: scale);
                if (file.Header.Find(entry.Name + Correction) is not null)
                    values.view(-1).index_add_(0, file.Read(entry.Name + Index), file.Read(entry.Name + Correction), scale);
                return values.MoveToOuterDisposeScope();
            }, folder);
            ConfigJson.Write(to, folder);
            TokenizerJson.Load(delta).Save(folder);
        });
        return new DeltaApplication(layout.Entries.Count, own, to.Vocabulary - old.Vocabulary);
    }

    private static JsonObject Manifest(string path)
    {
        try
        {
            return JsonNode.Parse(File.ReadAllBytes(path)) is JsonObject { } json && json["base"] is JsonObject hashes ? hashes : throw PerennialException.Damaged($"{path}: names no base");
        }
        catch (Exception error) when (error is JsonException or IOException)
        {
            throw PerennialException.Damaged($"{path}: is damaged or missing: {error.Message.ReplaceLineEndings(" ")}", error);
        }
    }

    private static void RequireSame(DecoderConfig old, DecoderConfig to, string first, string second)
    {
        if (old with { Vocabulary = to.Vocabulary, EndOfText = to.EndOfText, InitializerRange = to.InitializerRange, Carried = to.Carried, Context = to.Context, Dropout = to.Dropout } != to)
            throw PerennialException.Usage($"{second}: is another architecture than {first}");
        if (old.Vocabulary > to.Vocabulary) throw PerennialException.Usage($"{second}: knows {to.Vocabulary} tokens, {first} {old.Vocabulary}; a residual may only add tokens at the end");
        if (old.Family == ModelFamily.Gpt2 && old.Context != to.Context) throw PerennialException.Usage($"{second}: has learned positions for {to.Context} tokens, {first} for {old.Context}");
    }

    /// <summary>The tokens of the first must be those of the second under the same ids; the second may have more.</summary>
    private static void RequirePrefix(string first, string second)
    {
        var (few, many) = (TokenizerJson.Load(first), TokenizerJson.Load(second));
        if (few.Fingerprint == many.Fingerprint) return;
        for (var id = 0; id < few.VocabularySize; id++)
        {
            if (id >= many.VocabularySize || !few.Decode([id]).AsSpan().SequenceEqual(many.Decode([id])))
                throw PerennialException.Usage($"{second}: its tokenizer has another token {id} than {first}; the residual's rows would mean other tokens");
        }
    }

    private static Tensor Grown(Tensor values, IReadOnlyList<long> shape)
    {
        if (values.shape[0] == shape[0]) return values;
        var grown = zeros([.. shape]);
        grown.narrow(0, 0, values.shape[0]).copy_(values);
        return grown;
    }

    private static string Hash(Tensor values) => Convert.ToHexStringLower(XxHash128.Hash(values.contiguous().bytes));

    private static WeightReader Open(string folder, DecoderConfig config)
    {
        if (QuantizationScheme.Read(folder) is not null) throw PerennialException.Usage($"{folder}: is quantized; take the checkpoint that it was made from, for differences of rounded weights mean little");
        return WeightReader.Open(folder, config);
    }
}
