using System.IO.Hashing;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Data.Accounting;
using Perennial.Data.Preparation;
using Perennial.Data.Sources;

namespace Perennial.Data.Curation;

/// <summary>What <see cref="CorpusCuration"/> is asked for.</summary>
/// <param name="Sources">Where text comes from.</param>
/// <param name="Pipeline">The operators, in order.</param>
/// <param name="Output">The folder that takes the result.</param>
public sealed record CurationRequest(IReadOnlyList<SourceOptions> Sources, IReadOnlyList<ComponentSpec<IFilter>> Pipeline, string Output)
{
    /// <summary>Key of operators' draws.</summary>
    public ulong Seed { get; init; }

    /// <summary>Whether the text of removed documents is written, with reasons.</summary>
    public bool KeepRemoved { get; init; } = true;

    /// <summary>Whether shards are compressed (zstd).</summary>
    public bool Compress { get; init; }

    /// <summary>Tasks at a time in this process.</summary>
    public int Threads { get; init; } = Environment.ProcessorCount;

    /// <summary>Bytes of memory a decision over the corpus may take, roughly.</summary>
    public long Memory { get; init; } = 1L << 30;

    /// <summary>Where fetched files lie.</summary>
    public string? Cache { get; init; }

    /// <summary>What operators' constructors may ask for.</summary>
    public object[] Services { get; init; } = [];
}

/// <summary>
/// Runs operators over files and writes shards of JSON lines: <c>documents/</c>, <c>removed/</c>, <c>malformed.jsonl</c>,
/// <c>account.json</c>, and last <c>manifest.json</c> with the checksum of every shard. Any number of processes may run the same request at
/// once; a killed one is taken up where it stood.
/// </summary>
public static class CorpusCuration
{
    /// <summary>The file that is written last.</summary>
    public const string ManifestName = "manifest.json";

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    // What a run of ours may have left before it ended.
    private static readonly string[] Ours = [".work", "documents", "removed", "malformed.jsonl", "malformed.jsonl.partial", "account.json", "account.json.partial", "manifest.json.partial"];

    private sealed record Shard(string Documents, string? Removed, string DocumentsXxh128);

    private sealed record Manifest(string Fingerprint, IReadOnlyList<Shard> Shards);

    /// <summary>Runs a request, or takes up one that stopped. Returns the account.</summary>
    /// <exception cref="PerennialException">Exit 1: the folder cannot be written. Exit 2: bad sources, or the folder holds another request. Exit 3: too much of a source is malformed.</exception>
    public static DataAccount Run(CurationRequest request, Action<string>? notify = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        var output = Path.GetFullPath(request.Output);
        var cache = Path.GetFullPath(request.Cache ?? DataPreparation.DefaultCache);
        IReadOnlyList<IReadOnlyList<SourceFile>> files = [.. request.Sources.Select(source => SourceFiles.Locate(source.Path, cache, cancellation))];
        var fingerprint = Fingerprint(request, files, cancellation);
        var manifestPath = Path.Combine(output, ManifestName);
        if (File.Exists(manifestPath)) return Finished(output, fingerprint);
        if (Directory.Exists(output) && Directory.EnumerateFileSystemEntries(output).FirstOrDefault(entry => !Ours.Contains(Path.GetFileName(entry)) && !Path.GetFileName(entry).StartsWith(".work-", StringComparison.Ordinal)) is { } foreign)
            throw PerennialException.Usage($"{output}: is not empty (it holds {Path.GetFileName(foreign)}); name another folder with --out");
        try
        {
            var work = new WorkFolder(Path.Combine(output, ".work"), cancellation);
            Directory.CreateDirectory(work.Path);
            if (work.Once("fingerprint", () => fingerprint) != fingerprint) throw Other(output);
            return Work(request, files, fingerprint, output, work, notify);
        }
        catch (Exception error) when (error is DirectoryNotFoundException or FileNotFoundException && File.Exists(manifestPath))
        {
            // Another process finished while we waited, and cleared the work away.
            return Finished(output, fingerprint);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw PerennialException.Failed($"{output}: cannot be written: {error.Message.ReplaceLineEndings(" ")}; free space there or name another folder with --out, and run again", error);
        }
    }

    private static DataAccount Finished(string output, string fingerprint) =>
        JsonSerializer.Deserialize<Manifest>(File.ReadAllBytes(Path.Combine(output, ManifestName)))?.Fingerprint == fingerprint ? DataAccount.Load(output) : throw Other(output);

    private static PerennialException Other(string output) =>
        PerennialException.Usage($"{output}: holds the result of other sources or operators; name another folder with --out, or delete this one");

    private static DataAccount Work(CurationRequest request, IReadOnlyList<IReadOnlyList<SourceFile>> files, string fingerprint, string output, WorkFolder work, Action<string>? notify)
    {
        var plan = new CurationPlan(request.Sources, files, request.Pipeline, request.Seed) { KeepRemoved = request.KeepRemoved, Threads = request.Threads, Memory = request.Memory, Services = request.Services };
        var curator = new Curator(plan, work, notify);
        var account = curator.Run();
        Directory.CreateDirectory(Path.Combine(output, "documents"));
        if (request.KeepRemoved) Directory.CreateDirectory(Path.Combine(output, "removed"));
        notify?.Invoke("writing shards");
        List<string> tasks = [.. curator.Parts.Select(part => $"write-{part.Number:D5}")];
        work.Complete(tasks, plan.Threads, i => Write(request, curator, curator.Parts[i], output));
        work.Once("finish", () =>
        {
            AtomicFile.Write(Path.Combine(output, "malformed.jsonl"), stream => Append(stream, curator.Parts.Select(part => curator.Files.Malformed(part.Number))));
            account.Save(output);
            AtomicFile.WriteText(Path.Combine(output, ManifestName), JsonSerializer.Serialize(new Manifest(fingerprint, [.. tasks.Select(work.Result<Shard>)]), Indented));
            return true;
        });
        Remove(work.Path);
        return account;
    }

    /// <summary>Takes a finished work folder away at once: file by file, another process could find a task undone and begin it again.</summary>
    private static void Remove(string work)
    {
        var leaving = $"{work}-{Guid.NewGuid():N}";
        try
        {
            Directory.Move(work, leaving);
            Directory.Delete(leaving, recursive: true);
        }
        catch (IOException)
        {
            // Another process was first.
        }
    }

    private static Shard Write(CurationRequest request, Curator curator, SourcePart part, string output)
    {
        var ending = request.Compress ? ".jsonl.zst" : ".jsonl";
        var name = $"documents/part-{part.Number:D5}{ending}";
        var hash = "";
        AtomicFile.Write(Path.Combine(output, name), stream => hash = Hashed(stream, request.Compress, target =>
        {
            using var documents = new DocumentFile(curator.Documents(part));
            using var json = new Utf8JsonWriter(target, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
            foreach (var staged in documents.ReadAll())
            {
                DocumentJson.WriteLine(json, staged.Document);
                json.Reset();
                target.WriteByte((byte)'\n');
            }
        }));
        if (!request.KeepRemoved) return new Shard(name, null, hash);
        var removed = $"removed/part-{part.Number:D5}{ending}";
        AtomicFile.Write(Path.Combine(output, removed), stream => Hashed(stream, request.Compress, target => Append(target, Enumerable.Range(0, curator.Segments).Select(segment => curator.Files.Removed(segment, part.Number)))));
        return new Shard(name, removed, hash);
    }

    private static string Hashed(FileStream stream, bool compress, Action<Stream> write)
    {
        var hashed = new HashedStream(stream);
        if (compress)
        {
            using var zstd = new ZstdSharp.CompressionStream(hashed, 3, leaveOpen: true);
            write(zstd);
        }
        else
        {
            using var buffered = new BufferedStream(hashed, 1 << 18);
            write(buffered);
        }
        return hashed.Hash;
    }

    private static void Append(Stream stream, IEnumerable<string> paths)
    {
        foreach (var path in paths)
        {
            using var part = File.OpenRead(path);
            part.CopyTo(stream);
        }
    }

    private static string Fingerprint(CurationRequest request, IReadOnlyList<IReadOnlyList<SourceFile>> files, CancellationToken cancellation)
    {
        var hash = new XxHash128();
        void Add(string text) => hash.Append(Encoding.UTF8.GetBytes(text + "\n"));
        Add($"curation 1 seed {request.Seed} removed {request.KeepRemoved} compress {request.Compress}");
        foreach (var filter in request.Pipeline) Add(RecipeWriter.ToYaml(filter));
        Add(CurationPlan.FilesOf(request.Pipeline, cancellation));
        foreach (var (number, source) in request.Sources.Index())
        {
            Add($"source {source.Field} {source.Split}");
            foreach (var file in files[number]) Add($"{file.Name} {Convert.ToHexStringLower(SourceFingerprint.HashFile(file.Path, cancellation))}");
        }
        return Convert.ToHexStringLower(hash.GetCurrentHash());
    }

}
