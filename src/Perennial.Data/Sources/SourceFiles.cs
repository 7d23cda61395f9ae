using Microsoft.Extensions.FileSystemGlobbing;
using Perennial.Core;

namespace Perennial.Data.Sources;

/// <summary>Finds the files of a source, in ordinal order of their paths, whatever the file system's order.</summary>
public static class SourceFiles
{
    private static readonly string[] Formats = [".txt", ".jsonl", ".parquet"];
    private static readonly string[] Compressions = ["", ".gz", ".zst"];

    /// <summary>The format of a file: its ending without compression (<c>.txt</c>, <c>.jsonl</c>, <c>.parquet</c>), or null.</summary>
    public static string? FormatOf(string path) => Formats.FirstOrDefault(format => Compressions.Any(compression => path.EndsWith(format + compression, StringComparison.OrdinalIgnoreCase)));

    /// <summary>The files a recipe's path means.</summary>
    /// <exception cref="PerennialException">Exit 2: nothing there, or an ending that is not read.</exception>
    public static IReadOnlyList<string> Find(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        if (File.Exists(path))
        {
            if (FormatOf(path) is null) throw PerennialException.Usage($"data source '{path}': the ending is not one that is read (.txt, .jsonl, .parquet, each also .gz or .zst)");
            return [path.Replace('\\', '/')];
        }
        if (Directory.Exists(path))
        {
            var inside = Directory.EnumerateFiles(path, "*", SearchOption.AllDirectories).Select(file => file.Replace('\\', '/')).Where(file => FormatOf(file) is not null).Order(StringComparer.Ordinal).ToList();
            return inside.Count > 0 ? inside : throw PerennialException.Usage($"data source '{path}': the folder holds no .txt, .jsonl or .parquet file");
        }
        if (path.AsSpan().ContainsAny('*', '?'))
        {
            var matches = Glob(path);
            return matches.Count > 0 ? matches : throw PerennialException.Usage($"data source '{path}': no file matches");
        }
        throw PerennialException.Usage($"data source '{path}': no such file or folder (seen from {Directory.GetCurrentDirectory()})");
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
