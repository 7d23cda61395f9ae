using System.IO.Hashing;
using System.Text.Json;
using Perennial.Core;

namespace Perennial.Resilience;

/// <summary>One file of a checkpoint.</summary>
/// <param name="Path">Relative to the checkpoint, with forward slashes.</param>
/// <param name="Bytes">Size.</param>
/// <param name="Hash">XXH128 of the content, hex.</param>
public sealed record ManifestFile(string Path, long Bytes, string Hash);

/// <summary>
/// <c>manifest.json</c>: every file of a checkpoint with size and hash. Written last, so that a folder with a manifest that
/// holds is whole.
/// </summary>
/// <param name="Version">Format version.</param>
/// <param name="Step">The checkpoint's step.</param>
/// <param name="Files">All files but the manifest itself.</param>
public sealed record CheckpointManifest(int Version, long Step, IReadOnlyList<ManifestFile> Files)
{
    /// <summary>The manifest's file name.</summary>
    public const string FileName = "manifest.json";

    private const int CurrentVersion = 1;
    private static readonly JsonSerializerOptions Json = new() { WriteIndented = true };

    /// <summary>Hashes every file of a folder.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="step">The checkpoint's step.</param>
    /// <param name="known">Files whose hashes their writers know already; they are not read again.</param>
    public static CheckpointManifest Of(string folder, long step, IReadOnlyList<ManifestFile>? known = null)
    {
        var hashes = (known ?? []).ToDictionary(file => file.Path, file => file.Hash, StringComparer.Ordinal);
        var files = Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
            .Select(path => (path, relative: Relative(folder, path))).Where(file => file.relative != FileName)
            .OrderBy(file => file.relative, StringComparer.Ordinal)
            .Select(file => new ManifestFile(file.relative, new FileInfo(file.path).Length, hashes.GetValueOrDefault(file.relative) ?? HashOf(file.path)));
        return new(CurrentVersion, step, [.. files]);
    }

    /// <summary>Writes <c>manifest.json</c> into the folder.</summary>
    public void Write(string folder) => AtomicFile.WriteText(System.IO.Path.Combine(folder, FileName), JsonSerializer.Serialize(this, Json) + "\n");

    /// <summary>Reads a folder's manifest.</summary>
    /// <exception cref="PerennialException">Exit 3: missing or damaged.</exception>
    public static CheckpointManifest Read(string folder)
    {
        var path = System.IO.Path.Combine(folder, FileName);
        if (!File.Exists(path)) throw PerennialException.Damaged($"{folder}: has no {FileName}; it was not written to the end");
        try
        {
            var manifest = JsonSerializer.Deserialize<CheckpointManifest>(File.ReadAllBytes(path));
            return manifest is { Files: not null } ? manifest : throw PerennialException.Damaged($"{path}: is damaged");
        }
        catch (JsonException error)
        {
            throw PerennialException.Damaged($"{path}: is damaged: {error.Message.ReplaceLineEndings(" ")}", error);
        }
    }

    /// <summary>What is wrong with a folder against its manifest; empty when it is whole.</summary>
    public IEnumerable<string> Problems(string folder)
    {
        if (Version != CurrentVersion) yield return $"manifest version {Version} is not the one this program reads ({CurrentVersion})";
        foreach (var file in Files)
        {
            var path = System.IO.Path.Combine(folder, file.Path);
            if (!File.Exists(path)) yield return $"{file.Path} is missing";
            else if (new FileInfo(path).Length != file.Bytes) yield return $"{file.Path} has {new FileInfo(path).Length} bytes instead of {file.Bytes}";
            else if (HashOf(path) != file.Hash) yield return $"{file.Path} does not match its checksum";
        }
    }

    private static string Relative(string folder, string path) => System.IO.Path.GetRelativePath(folder, path).Replace('\\', '/');

    private static string HashOf(string path)
    {
        var hash = new XxHash128();
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 20, FileOptions.SequentialScan);
        hash.Append(stream);
        return Convert.ToHexStringLower(hash.GetCurrentHash());
    }
}
