using System.Text.Json;
using Perennial.Core;

namespace Perennial.Data.Accounting;

/// <summary>The account of a preparation or a curation: every document that came in is in it once, kept or left out for a reason.</summary>
/// <param name="Sources">Per source, in recipe order.</param>
public sealed record DataAccount(IReadOnlyList<SourceAccount> Sources)
{
    /// <summary>Its file's name.</summary>
    public const string FileName = "account.json";

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>All sources together.</summary>
    public SourceAccount Total()
    {
        var total = new SourceAccount { Path = "all sources" };
        foreach (var source in Sources) total.Add(source);
        return total;
    }

    /// <summary>Documents that came in and are neither kept nor removed by an operator: anything but 0 is an error of ours.</summary>
    public long Unaccounted()
    {
        var total = Total();
        return total.Documents - total.KeptDocuments - total.Operators.Sum(operation => operation.Removed.Values.Sum());
    }

    /// <summary>Writes it into a folder.</summary>
    public void Save(string folder) => AtomicFile.WriteText(Path.Combine(folder, FileName), JsonSerializer.Serialize(this, Indented));

    /// <summary>Reads it from a folder.</summary>
    /// <exception cref="PerennialException">Exit 3: missing or damaged.</exception>
    public static DataAccount Load(string folder)
    {
        var path = Path.Combine(folder, FileName);
        try
        {
            return JsonSerializer.Deserialize<DataAccount>(File.ReadAllBytes(path)) ?? throw new JsonException("is empty");
        }
        catch (Exception error) when (error is JsonException or FileNotFoundException or DirectoryNotFoundException)
        {
            throw PerennialException.Damaged($"{path}: is not the account of a preparation: {error.Message.ReplaceLineEndings(" ")}", error);
        }
    }
}
