using System.Text.Json;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Experiments.Papers;
using Perennial.Experiments.Reports;

namespace Perennial.Experiments.Catalog;

/// <summary>The papers of a folder: the catalogue, and what is built and was last found of each.</summary>
/// <param name="folder">The folder <c>papers</c>.</param>
/// <param name="binder">Reads the YAML files.</param>
public sealed class PaperCatalog(string folder, RecipeBinder binder)
{
    private readonly Lazy<IReadOnlyList<CatalogEntry>> entries = new(() =>
        [.. binder.Bind<CatalogFile>(RecipeDocument.Load(Path.Combine(folder, "catalog.yaml"))).Papers.OrderBy(paper => paper.Number)]);

    /// <summary>The folder <c>papers</c>.</summary>
    public string Folder { get; } = folder;

    /// <summary>All papers by number.</summary>
    /// <exception cref="PerennialException">Exit 2: the catalogue is missing or wrong.</exception>
    public IReadOnlyList<CatalogEntry> Entries => entries.Value;

    /// <summary>The folder <c>papers</c> in a folder or one of its parents, so that the command works from anywhere in the repository.</summary>
    /// <exception cref="PerennialException">Exit 2: there is none.</exception>
    public static string Find(string start)
    {
        for (var at = new DirectoryInfo(Path.GetFullPath(start)); at is not null; at = at.Parent)
        {
            if (File.Exists(Path.Combine(at.FullName, "papers", "catalog.yaml"))) return Path.GetRelativePath(Path.GetFullPath("."), Path.Combine(at.FullName, "papers"));
        }
        throw PerennialException.Usage($"no papers/catalog.yaml in {Path.GetFullPath(start)} or above it; run this inside the Perennial repository, or name the folder with --papers");
    }

    /// <summary>The paper that a person means by <c>6</c>, <c>06</c> or its slug.</summary>
    /// <exception cref="PerennialException">Exit 2: there is none.</exception>
    public CatalogEntry Entry(string wanted)
    {
        ArgumentNullException.ThrowIfNull(wanted);
        var found = int.TryParse(wanted, out var number)
            ? Entries.FirstOrDefault(paper => paper.Number == number)
            : Entries.FirstOrDefault(paper => paper.Slug == wanted || paper.Name == wanted);
        return found ?? throw PerennialException.Usage($"no paper '{wanted}'; known: {Entries[0].Number:00} to {Entries[^1].Number:00}, or a slug{Nearest.Hint(wanted, [.. Entries.Select(paper => paper.Slug)]) switch { var hint when hint.StartsWith(',') => hint, _ => "" }}");
    }

    /// <summary>Whether the paper's comparison can be run.</summary>
    public bool IsBuilt(CatalogEntry entry)
    {
        ArgumentNullException.ThrowIfNull(entry);
        return File.Exists(PaperPath(entry));
    }

    /// <summary>The paper's comparison.</summary>
    /// <exception cref="PerennialException">Exit 2: not built yet, or its files are wrong.</exception>
    public Paper Load(CatalogEntry entry)
    {
        ArgumentNullException.ThrowIfNull(entry);
        if (!IsBuilt(entry)) throw PerennialException.Usage($"paper {entry.Number:00} ({entry.Slug}) is not built yet: there is no {PaperPath(entry)}; `perennial papers list` shows which are");
        return PaperFile.Load(PaperPath(entry), binder);
    }

    /// <summary>The newest result of a paper: of a run in <paramref name="runs"/>, else the one that the repository states; null when there is none.</summary>
    /// <param name="entry">The paper.</param>
    /// <param name="runs">The folder that holds experiments.</param>
    public LastResult? Last(CatalogEntry entry, string runs)
    {
        ArgumentNullException.ThrowIfNull(entry);
        var here = Directory.Exists(Path.Combine(runs, entry.Name))
            ? Directory.GetFiles(Path.Combine(runs, entry.Name), ResultFile.Name, SearchOption.AllDirectories).OrderByDescending(File.GetLastWriteTimeUtc).FirstOrDefault()
            : null;
        var stated = Path.Combine(Folder, entry.Name, "expected.json");
        var path = here ?? (File.Exists(stated) ? stated : null);
        if (path is null) return null;
        try
        {
            return new(path, path == here, ResultFile.Read(path));
        }
        catch (JsonException error)
        {
            throw PerennialException.Damaged($"{path}: not a result: {error.Message.ReplaceLineEndings(" ")}; delete it and run the paper again", error);
        }
    }

    private string PaperPath(CatalogEntry entry) => Path.Combine(Folder, entry.Name, "paper.yaml");
}

/// <summary>What was last found of a paper.</summary>
/// <param name="Path">The file it was read from.</param>
/// <param name="MeasuredHere">Whether this machine measured it; otherwise the repository states it.</param>
/// <param name="Result">The result.</param>
public sealed record LastResult(string Path, bool MeasuredHere, ExperimentResult Result);
