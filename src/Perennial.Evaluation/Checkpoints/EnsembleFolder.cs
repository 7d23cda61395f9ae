using System.Text.Json;
using System.Text.Json.Nodes;
using Perennial.Core;
using Perennial.Data.Tokenizers;

namespace Perennial.Evaluation.Checkpoints;

/// <summary>A folder that names the members of an ensemble: <c>ensemble.json</c> beside their common <c>tokenizer.json</c>.</summary>
public static class EnsembleFolder
{
    /// <summary>The file's name.</summary>
    public const string FileName = "ensemble.json";

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>Writes the folder.</summary>
    /// <param name="members">The members' folders; named relative to the new folder.</param>
    /// <param name="target">A folder that does not exist yet.</param>
    /// <exception cref="PerennialException">Exit 2: the tokenizers differ, or the target exists.</exception>
    public static void Write(IReadOnlyList<string> members, string target)
    {
        ArgumentNullException.ThrowIfNull(members);
        if (Directory.Exists(target) && Directory.EnumerateFileSystemEntries(target).Any()) throw PerennialException.Usage($"{target}: exists already; choose another --out");
        var tokenizer = TokenizerJson.Load(members[0]);
        if (members.FirstOrDefault(member => TokenizerJson.Load(member).Fingerprint != tokenizer.Fingerprint) is { } other)
            throw PerennialException.Usage($"{other}: has another tokenizer than {members[0]}; the mean of their logits would mean nothing");
        Directory.CreateDirectory(target);
        tokenizer.Save(target);
        AtomicFile.WriteText(Path.Combine(target, FileName), new JsonObject
        {
            ["members"] = new JsonArray([.. members.Select(member => (JsonNode)Path.GetRelativePath(target, member))]),
        }.ToJsonString(Indented) + "\n");
    }

    /// <summary>The members' folders.</summary>
    /// <exception cref="PerennialException">Exit 3: the file is damaged.</exception>
    public static IReadOnlyList<string> Members(string folder)
    {
        var path = Path.Combine(folder, FileName);
        try
        {
            if (JsonNode.Parse(File.ReadAllBytes(path))?["members"] is not JsonArray { Count: > 0 } names) throw PerennialException.Damaged($"{path}: names no members");
            return [.. names.Select(name => Path.GetFullPath(Path.Combine(folder, name?.GetValue<string>() ?? "")))];
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw PerennialException.Damaged($"{path}: is damaged: {error.Message.ReplaceLineEndings(" ")}", error);
        }
    }
}
