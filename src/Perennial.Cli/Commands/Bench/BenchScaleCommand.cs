using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Cli.Launch;
using Perennial.Core;
using Perennial.Data;
using Perennial.Data.Benchmarks;
using Perennial.Data.Sources;

namespace Perennial.Cli.Commands.Bench;

/// <summary><c>perennial bench scale</c>.</summary>
internal static class BenchScaleCommand
{
    private static readonly string[] Operators = ["unicode", "mojibake", "whitespace", "boilerplate", "pii", "language", "gopher-quality", "gopher-repetition", "fineweb", "exact-dedup", "minhash-dedup"];

    public static Command Create(CommandContext context)
    {
        var size = new Option<double>("--size") { Description = "GB of the corpus.", DefaultValueFactory = _ => 10 };
        var limit = new Option<double>("--limit") { Description = "GB that the process may take at most.", DefaultValueFactory = _ => 4 };
        var memory = new Option<int>("--memory") { Description = "MiB that a decision over the corpus may take.", DefaultValueFactory = _ => 1024 };
        var threads = new Option<int>("--threads") { Description = "Parts at a time.", DefaultValueFactory = _ => Environment.ProcessorCount };
        var seed = new Option<ulong>("--seed") { Description = "Key of the corpus.", DefaultValueFactory = _ => 1 };
        var text = new Option<string>("--text") { Description = "Prose that documents are made of.", DefaultValueFactory = _ => Path.Combine("corpus", "austen") };
        var folder = new Option<string?>("--folder") { Description = "Where corpus and result stay, so that a stopped run goes on; by default a temporary folder that goes away." };
        var json = CommandExtensions.Json();
        return new Command("scale", "A large synthetic corpus through normalizers, filters and deduplication in a process of its own: time, peak memory, and that every copy is found.") { size, limit, memory, threads, seed, text, folder, json }.Does(parsed =>
        {
            if (!OperatingSystem.IsLinux()) throw PerennialException.Missing("bench scale reads a process's peak memory from /proc, which only Linux has");
            if (parsed.GetValue(size) is not (>= 0.001 and <= 10_000)) throw PerennialException.Usage("--size must be from 0.001 to 10000 GB");
            var kept = parsed.GetValue(folder);
            var place = kept is null ? Directory.CreateTempSubdirectory("perennial-scale-").FullName : Directory.CreateDirectory(kept).FullName;
            try
            {
                var paragraphs = DocumentSource.Read(new SourceOptions { Path = parsed.GetValue(text)!, Split = TextSplit.Paragraph }, context.Cancellation).ToBlockingEnumerable(context.Cancellation)
                    .Select(document => Encoding.UTF8.GetString(document.Text.Span)).Where(paragraph => paragraph.Length > 120).ToList();
                var clock = Stopwatch.StartNew();
                var corpus = new ScaleCorpus(parsed.GetValue(seed), paragraphs).Write(Path.Combine(place, "corpus"), (long)(parsed.GetValue(size) * 1e9), context.Cancellation);
                context.Error.WriteLine($"corpus: {corpus.Bytes / 1e9:F2} GB, {corpus.Documents:N0} documents, {corpus.ExactCopies:N0} of them copies, in {clock.Elapsed.TotalSeconds:F0} s");
                List<string> command = ["data", "dedup", Path.Combine(place, "corpus"), "--out", Path.Combine(place, "result"), "--json", "--no-removed", "--memory", $"{parsed.GetValue(memory)}", "--threads", $"{parsed.GetValue(threads)}"];
                foreach (var one in Operators) command.AddRange(["--with", one]);
                clock.Restart();
                var (account, peak) = Run(context, command);
                return Tell(context, parsed.GetValue(json), corpus, account, peak, clock.Elapsed.TotalSeconds, parsed.GetValue(limit));
            }
            finally
            {
                if (kept is null) Directory.Delete(place, recursive: true);
            }
        });
    }

    private static (JsonNode Account, long PeakBytes) Run(CommandContext context, IEnumerable<string> command)
    {
        var (lines, peak, asked) = (new List<string>(), 0L, false);
        using var process = WorkerProcess.Start(0, command, new Dictionary<string, string>(), line =>
        {
            lock (lines) lines.Add(line);
        }, context.Error.WriteLine);
        do
        {
            if (context.Cancellation.IsCancellationRequested && !asked)
            {
                asked = true;
                process.Ask();
            }
            peak = Math.Max(peak, PeakOf(process.Id));
        }
        while (!process.Wait(TimeSpan.FromMilliseconds(20)));
        process.Wait();
        context.Cancellation.ThrowIfCancellationRequested();
        if (process.ExitCode != 0) throw PerennialException.Failed($"'data dedup' ended with code {process.ExitCode}");
        return (JsonNode.Parse(lines[^1])!, peak);
    }

    // The kernel's own high-water mark; 0 when the process is gone.
    private static long PeakOf(int process)
    {
        try
        {
            var line = File.ReadLines($"/proc/{process}/status").FirstOrDefault(line => line.StartsWith("VmHWM:", StringComparison.Ordinal));
            return line is null ? 0 : long.Parse(line.AsSpan("VmHWM:".Length).Trim(" \tkB"), CultureInfo.InvariantCulture) << 10;
        }
        catch (IOException)
        {
            return 0;
        }
    }

    private static ExitCode Tell(CommandContext context, bool json, ScaleCorpusSize corpus, JsonNode account, long peak, double seconds, double limit)
    {
        var exact = account["operators"]!.AsArray().Single(one => (string)one!["kind"]! == "exact-dedup")!;
        // Filters before it take a share of copies and originals alike.
        var expected = corpus.ExactCopies * ((double)exact["documents"]! / corpus.Documents);
        var (found, unaccounted) = ((long)exact["documents"]! - (long)exact["kept_documents"]!, (long)account["unaccounted"]!);
        var holds = peak <= limit * 1e9 && unaccounted == 0 && (long)account["documents"]! == corpus.Documents && found >= 0.97 * expected;
        if (json)
            context.Out.WriteJson(new JsonObject { ["event"] = "bench", ["name"] = "scale", ["bytes"] = corpus.Bytes, ["documents"] = corpus.Documents, ["copies"] = corpus.ExactCopies, ["copies_removed"] = found, ["kept_documents"] = (long)account["kept_documents"]!, ["unaccounted"] = unaccounted, ["seconds"] = seconds, ["peak_bytes"] = peak, ["limit_bytes"] = limit * 1e9, ["holds"] = holds });
        else
            context.Out.WriteLine($"{corpus.Bytes / 1e9:F2} GB, {corpus.Documents:N0} documents in {seconds:N0} s ({corpus.Bytes / 1e6 / seconds:N1} MB/s): {(long)account["kept_documents"]!:N0} kept, {found:N0} of {corpus.ExactCopies:N0} copies removed, {unaccounted} unaccounted; peak {peak / 1e9:F2} GB, limit {limit:F0} GB: {(holds ? "holds" : "does not hold")}");
        return holds ? ExitCode.Done : ExitCode.Failed;
    }
}
