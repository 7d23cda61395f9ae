using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Data;
using Perennial.Data.Benchmarks;
using Perennial.Data.Sources;

namespace Perennial.Cli.Commands.Bench;

/// <summary><c>perennial bench tokenizer</c>.</summary>
internal static class BenchTokenizerCommand
{
    private const int LargestDocuments = 64 << 20;

    public static Command Create(CommandContext context)
    {
        var text = new Option<string>("--text") { Description = "What is encoded: a file, folder or glob, as a recipe's source; at most 64 MiB of it.", DefaultValueFactory = _ => "corpus" };
        var rounds = new Option<int>("--rounds") { Description = "Rounds; both encoders run once in each, and the median counts.", DefaultValueFactory = _ => 3 };
        var json = CommandExtensions.Json();
        return new Command("tokenizer", "BPE encoding on one thread, against Microsoft.ML.Tokenizers' plain loop in the same run, ids compared.") { text, rounds, json }.Does(parsed =>
        {
            if (parsed.GetValue(rounds) is < 1 or > 1000) throw PerennialException.Usage("--rounds must be from 1 to 1000");
            var documents = Read(parsed.GetRequiredValue(text), context.Cancellation).GetAwaiter().GetResult();
            var isEnough = true;
            foreach (var result in TokenizerBench.Run(documents, parsed.GetValue(rounds)))
            {
                context.Cancellation.ThrowIfCancellationRequested();
                isEnough &= result.IsEqual;
                if (parsed.GetValue(json)) context.Out.WriteJson(ToJson(result));
                else context.Out.WriteLine($"{result.Vocabulary,-12} {result.Bytes / 1e6,7:F1} MB {result.Tokens,10:N0} ids: ours {result.OursBytesPerSecond / 1e6,6:F1} MB/s (first pass {result.ColdBytesPerSecond / 1e6:F1}), Microsoft.ML.Tokenizers {result.TheirsBytesPerSecond / 1e6,6:F1} MB/s, {result.Ratio:F2} times (limit {TokenizerBench.Limit:F0}); ids {(result.IsEqual ? "equal" : "DIFFER")}");
            }
            return isEnough ? ExitCode.Done : ExitCode.Failed;
        });
    }

    private static async Task<List<ReadOnlyMemory<byte>>> Read(string path, CancellationToken cancellation)
    {
        var (documents, bytes) = (new List<ReadOnlyMemory<byte>>(), 0L);
        await foreach (var document in DocumentSource.Read(new SourceOptions { Path = path }, cancellation).ConfigureAwait(false))
        {
            if ((bytes += document.Text.Length) > LargestDocuments) break;
            documents.Add(document.Text);
        }
        return documents;
    }

    private static JsonObject ToJson(TokenizerBenchResult result) => new()
    {
        ["event"] = "bench", ["vocabulary"] = result.Vocabulary, ["bytes"] = result.Bytes, ["tokens"] = result.Tokens, ["bytes_per_second"] = result.OursBytesPerSecond,
        ["cold_bytes_per_second"] = result.ColdBytesPerSecond, ["microsoft_bytes_per_second"] = result.TheirsBytesPerSecond, ["ratio"] = result.Ratio, ["limit"] = TokenizerBench.Limit, ["equal"] = result.IsEqual,
    };
}
