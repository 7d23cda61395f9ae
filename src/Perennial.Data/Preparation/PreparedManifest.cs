using System.IO.Hashing;
using System.Text.Json;
using Perennial.Core;

namespace Perennial.Data.Preparation;

/// <summary>
/// <c>prepared.json</c>, written last into a prepared folder: what belongs there. With it a shard or a tokenizer that was
/// exchanged for another whole one is found too.
/// </summary>
/// <param name="TokenizerFingerprint">Fingerprint of the tokenizer that made the ids.</param>
/// <param name="Train">Checksum of every source's training shard.</param>
/// <param name="HeldOut">Checksum of every source's held-out shard.</param>
/// <param name="Statistics">Per source.</param>
internal sealed record PreparedManifest(string TokenizerFingerprint, IReadOnlyList<string> Train, IReadOnlyList<string> HeldOut, IReadOnlyList<SourceStatistics> Statistics)
{
    public const string FileName = "prepared.json";

    private sealed record Sealed(string Xxh128, PreparedManifest Content);

    public void Save(string folder) =>
        AtomicFile.WriteText(Path.Combine(folder, FileName), JsonSerializer.Serialize(new Sealed(Seal(), this)));

    /// <exception cref="PerennialException">Exit 3: damaged.</exception>
    public static PreparedManifest Load(string folder)
    {
        var path = Path.Combine(folder, FileName);
        Sealed? read = null;
        try
        {
            read = JsonSerializer.Deserialize<Sealed>(File.ReadAllBytes(path));
        }
        catch (Exception error) when (error is JsonException or FileNotFoundException)
        {
            // Told below, in the same words as any other damage.
        }
        return read is { Content: { TokenizerFingerprint: not null, Train: not null, HeldOut: not null, Statistics: not null } content } && content.Seal() == read.Xxh128
            ? content
            : throw Damage(path, folder);
    }

    /// <summary>The error for something in a prepared folder that is not what was written there.</summary>
    public static PerennialException Damage(string path, string folder) =>
        PerennialException.Damaged($"{path}: is damaged or was replaced; delete the folder '{folder}' and run again to prepare it anew");

    private string Seal() => Convert.ToHexStringLower(XxHash128.Hash(JsonSerializer.SerializeToUtf8Bytes(this)));
}
