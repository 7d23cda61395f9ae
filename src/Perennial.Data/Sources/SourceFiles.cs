using Microsoft.Extensions.FileSystemGlobbing;
using Perennial.Core;

namespace Perennial.Data.Sources;

/// <summary>Finds the files of a source, in ordinal order of their paths, whatever the file system's order.</summary>
public static class SourceFiles
{
    private static readonly string[] Formats = [".txt", ".jsonl", ".csv", ".tsv", ".parquet", ".html", ".htm", ".warc", ".wet"];
    private static readonly string[] Compressions = ["", ".gz", ".zst", ".xz"];

    /// <summary>What a person should know about endings.</summary>
    internal const string WantedEndings = "the ending is not one that is read (.txt, .jsonl, .csv, .tsv, .parquet, .html, .warc, .wet, each also .gz, .zst or .xz)";

    /// <summary>The format of a file: its ending without compression (<c>.txt</c>, <c>.jsonl</c> …), or null.</summary>
    public static string? FormatOf(string path) => Formats.FirstOrDefault(format => Compressions.Any(compression => path.EndsWith(format + compression, StringComparison.OrdinalIgnoreCase)));

    /// <summary>The files a recipe's path means; addresses are fetched into a folder first.</summary>
    /// <exception cref="PerennialException">Exit 2: nothing there, or an ending that is not read. Exit 1: a connection failed.</exception>
    public static IReadOnlyList<SourceFile> Locate(string path, string cache, CancellationToken cancellation = default) =>
        RemoteFiles.IsRemote(path) ? RemoteFiles.Fetch(path, Path.Combine(cache, "fetched"), cancellation) : [.. Find(path).Select(file => new SourceFile(file, file))];

    /// <summary>The files a recipe's path means.</summary>
    /// <exception cref="PerennialException">Exit 2: nothing there, or an ending that is not read.</exception>
    public static IReadOnlyList<string> Find(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        if (File.Exists(path))
        {
            if (FormatOf(path) is null) throw PerennialException.Usage($"data source '{path}': {WantedEndings}");
            return [path.Replace('\\', '/')];
        }
        if (Directory.Exists(path))
        {
            var inside = Directory.EnumerateFiles(path, "*", SearchOption.AllDirectories).Select(file => file.Replace('\\', '/')).Where(file => FormatOf(file) is not null).Order(StringComparer.Ordinal).ToList();
            return inside.Count > 0 ? inside : throw PerennialException.Usage($"data source '{path}': the folder holds no file with an ending that is read (.txt, .jsonl, .parquet …)");
        }
        if (path.AsSpan().ContainsAny('*', '?'))
        {
            var matches = Glob(path);
            return matches.Count > 0 ? matches : throw PerennialException.Usage($"data source '{path}': no file matches");
        }
        throw PerennialException.Usage($"data source '{path}': no such file or folder (seen from {Directory.GetCurrentDirectory()})");
    }

    /// <summary>Files that an operator reads (word lists, models, references), whatever their ending.</summary>
    /// <exception cref="PerennialException">Exit 2: nothing there.</exception>
    public static IReadOnlyList<string> FindAny(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        return File.Exists(path) ? [path.Replace('\\', '/')] : Find(path);
    }

    private static List<string> Glob(string pattern)
    {
        var parts = pattern.Replace('\\', '/').Split('/');
        var fixedParts = parts.TakeWhile(part => !part.AsSpan().ContainsAny('*', '?')).ToArray();
        var root = fixedParts.Length == 0 ? "." : string.Join('/', fixedParts);
        if (root.Length == 0) root = "/";
        if (!Directory.Exists(root)) return [];
        var matcher = new Matcher(StringComparison.Ordinal);
        matcher.AddInclude(string.Join('/', parts[fixedParts.Length..]));
        return [.. matcher.GetResultsInFullPath(root)
            .Select(file => fixedParts.Length == 0 || !Path.IsPathRooted(pattern) ? Path.GetRelativePath(Directory.GetCurrentDirectory(), file) : file)
            .Select(file => file.Replace('\\', '/'))
            .Where(file => FormatOf(file) is not null).Order(StringComparer.Ordinal)];
    }
}
