using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Data;
using Perennial.Data.Accounting;
using Perennial.Data.Curation;
using Perennial.Evaluation.Reports;

namespace Perennial.Cli.Commands.Data;

/// <summary><c>perennial data filter</c> and <c>perennial data dedup</c>: operators over files, without a recipe.</summary>
internal static class DataOperatorsCommand
{
    private static readonly string[] UsualFilters = ["unicode", "mojibake", "whitespace", "boilerplate", "pii", "language", "gopher-quality", "gopher-repetition", "fineweb"];
    private static readonly string[] UsualDedup = ["exact-dedup", "minhash-dedup"];

    private sealed record Holder
    {
        public IReadOnlyList<ComponentSpec<IFilter>> Pipeline { get; init; } = [];
    }

    /// <summary>Normalize and filter.</summary>
    public static Command CreateFilter(CommandContext context) => Create(context, "filter", "Normalize and filter files; writes shards of JSON lines, removed documents with reasons, an account and a report.", UsualFilters);

    /// <summary>Deduplicate.</summary>
    public static Command CreateDedup(CommandContext context) => Create(context, "dedup", "Remove duplicates within and across files; writes shards of JSON lines, removed documents with reasons, an account and a report.", UsualDedup);

    private static Command Create(CommandContext context, string name, string description, string[] usual)
    {
        var paths = new Argument<string[]>("PATH") { Description = "Files, folders, globs or addresses.", Arity = ArgumentArity.OneOrMore };
        var output = new Option<string>("--out") { Description = "Folder that takes the result; an unfinished one is taken up.", Required = true };
        var with = new Option<string[]>("--with") { Description = $"An operator: a kind, or '{{kind: …, key: value}}' (repeatable, in order). Without: {string.Join(", ", usual)}.", AllowMultipleArgumentsPerToken = false };
        var pipeline = new Option<string?>("--pipeline") { Description = "A YAML file with a list of operators." };
        var field = new Option<string>("--field") { Description = "Field or column of the text.", DefaultValueFactory = _ => "text" };
        var split = new Option<TextSplit>("--split") { Description = "How plain text files become documents.", DefaultValueFactory = _ => TextSplit.Auto };
        var malformed = new Option<double>("--malformed") { Description = "Share of malformed records from which on a source counts as damaged.", DefaultValueFactory = _ => 1 };
        var seed = new Option<ulong>("--seed") { Description = "Key of operators' draws." };
        var workers = WorkerProcesses.Option();
        var threads = new Option<int>("--threads") { Description = "Parts at a time in each process.", DefaultValueFactory = _ => Environment.ProcessorCount };
        var memory = new Option<long>("--memory") { Description = "MiB that a decision over the whole corpus may take.", DefaultValueFactory = _ => 1024 };
        var compress = new Option<bool>("--compress") { Description = "Write .jsonl.zst shards." };
        var dropped = new Option<bool>("--no-removed") { Description = "Do not write removed documents, only count them." };
        var json = CommandExtensions.Json();
        return new Command(name, description) { paths, output, with, pipeline, field, split, malformed, seed, workers, threads, memory, compress, dropped, json }.Does(parsed =>
        {
            if (parsed.GetValue(threads) is < 1 or > 4096) throw PerennialException.Usage("--threads must be from 1 to 4096");
            if (parsed.GetValue(memory) is < 16 or > 1 << 24) throw PerennialException.Usage("--memory must be from 16 to 16777216 MiB");
            if (parsed.GetValue(malformed) is not (>= 0 and <= 1)) throw PerennialException.Usage("--malformed must be from 0 to 1");
            var operators = Operators(context, parsed.GetValue(pipeline), parsed.GetValue(with) ?? [], usual);
            var folder = parsed.GetRequiredValue(output);
            var request = new CurationRequest(
                [.. parsed.GetRequiredValue(paths).Select(path => new SourceOptions { Path = path, Field = parsed.GetValue(field)!, Split = parsed.GetValue(split), Malformed = parsed.GetValue(malformed) })], operators, folder)
            {
                Seed = parsed.GetValue(seed), Threads = parsed.GetValue(threads), Memory = parsed.GetValue(memory) << 20, Compress = parsed.GetValue(compress), KeepRemoved = !parsed.GetValue(dropped),
            };
            using var others = WorkerProcesses.Start(parsed, workers, context);
            var account = CorpusCuration.Run(request, others.IsWorker ? null : context.Error.WriteLine, context.Cancellation);
            others.Wait();
            if (others.IsWorker) return ExitCode.Done;
            var report = Path.Combine(folder, "report.html");
            AtomicFile.WriteText(report, DataReport.Render(string.Join(", ", parsed.GetRequiredValue(paths)), account));
            if (parsed.GetValue(json)) context.Out.WriteJson(ToJson(account));
            else WriteText(context.Out, account, report);
            return ExitCode.Done;
        });
    }

    private static IReadOnlyList<ComponentSpec<IFilter>> Operators(CommandContext context, string? file, string[] with, string[] usual)
    {
        if (file is not null && with.Length > 0) throw PerennialException.Usage("give --pipeline or --with, not both");
        var node = file is not null ? RecipeDocument.Load(file) : RecipeDocument.Parse($"[{string.Join(", ", with.Length > 0 ? with : usual)}]", "--with");
        if (node is RecipeMapping mapping && mapping["pipeline"] is { } inner) node = inner;
        return new RecipeBinder(context.Components).Bind<Holder>(new RecipeMapping(node.Location, [new RecipeEntry("pipeline", node.Location, node)])).Pipeline;
    }

    /// <summary>An account as one JSON line.</summary>
    public static JsonObject ToJson(DataAccount account)
    {
        var total = account.Total();
        return new JsonObject
        {
            ["event"] = "done", ["documents"] = total.Documents, ["bytes"] = total.Bytes, ["kept_documents"] = total.KeptDocuments, ["kept_bytes"] = total.KeptBytes, ["malformed"] = total.MalformedRecords, ["unaccounted"] = account.Unaccounted(),
            ["operators"] = new JsonArray([.. total.Operators.Select(one => (JsonNode)new JsonObject
            {
                ["kind"] = one.Kind, ["documents"] = one.Documents, ["kept_documents"] = one.KeptDocuments, ["kept_bytes"] = one.KeptBytes, ["changed"] = one.Changed, ["seconds"] = Math.Round(one.Seconds, 3),
                ["removed"] = new JsonObject(one.Removed.Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)pair.Value))), ["counts"] = new JsonObject(one.Counts.Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)pair.Value))),
                ["notes"] = new JsonObject(one.Notes.Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)pair.Value))),
            })]),
        };
    }

    /// <summary>An account for a person.</summary>
    public static void WriteText(TextWriter output, DataAccount account, string report)
    {
        var total = account.Total();
        output.WriteLine($"{total.Documents:N0} documents read ({total.Bytes / 1e6:N1} MB), {total.MalformedRecords:N0} malformed records set aside");
        output.WriteLine($"{"operator",-20} {"in",12} {"out",12} {"changed",12} {"MB/s/core",10}  removed");
        foreach (var one in total.Operators)
            output.WriteLine($"{one.Kind,-20} {one.Documents,12:N0} {one.KeptDocuments,12:N0} {one.Changed,12:N0} {one.MegabytesPerSecond,10:N1}  {string.Join(", ", one.Removed.Select(pair => $"{pair.Value:N0} {pair.Key}"))}");
        output.WriteLine($"{total.KeptDocuments:N0} documents kept ({total.KeptBytes / 1e6:N1} MB); report in {report}");
    }
}
