using System.IO.Hashing;
using System.Text;
using System.Text.Json;
using Perennial.Core;
using Perennial.Data.Curation;

namespace Perennial.Data.Synthesis;

/// <summary>How much may be asked, and how.</summary>
public sealed record SynthesisOptions
{
    /// <summary>The prompt; <c>{text}</c> stands for the document's text.</summary>
    public required string Prompt { get; init; }

    /// <summary>Most tokens of an answer.</summary>
    public int Tokens { get; init; } = 512;

    /// <summary>Sampling temperature.</summary>
    public double Temperature { get; init; } = 0.7;

    /// <summary>Key of the sampling.</summary>
    public ulong Seed { get; init; }

    /// <summary>Requests at a time.</summary>
    public int Parallel { get; init; } = 4;

    /// <summary>Most requests of the whole synthesis, cached ones not counted.</summary>
    public long RequestBudget { get; init; } = long.MaxValue;

    /// <summary>Most tokens of the whole synthesis, as far as the generator tells them.</summary>
    public long TokenBudget { get; init; } = long.MaxValue;

    /// <summary>Attempts for one request; waits double from half a second.</summary>
    public int Attempts { get; init; } = 6;
}

/// <summary>What a synthesis did.</summary>
/// <param name="Documents">Documents asked about.</param>
/// <param name="Answers">Answers written.</param>
/// <param name="FromCache">Answers that an earlier attempt had.</param>
/// <param name="Requests">Requests made.</param>
/// <param name="TokensUsed">Tokens used in this attempt.</param>
/// <param name="Failed">Documents whose requests all failed; asked again by the next attempt.</param>
/// <param name="Stopped">Whether the budget ended it.</param>
public sealed record SynthesisResult(long Documents, long Answers, long FromCache, long Requests, long TokensUsed, long Failed, bool Stopped);

/// <summary>
/// Makes text from documents. Every answer is cached under the hash of generator, prompt and settings as soon as it is there, so an interrupted
/// synthesis goes on without asking twice; the result file is in document order whatever order answers came in.
/// </summary>
public static class Synthesizer
{
    /// <summary>Asks about every document and writes JSON lines: text, where it came from, generator, prompt hash, seed.</summary>
    /// <param name="documents">The documents.</param>
    /// <param name="generator">Whom to ask.</param>
    /// <param name="options">How, and how much.</param>
    /// <param name="output">The result file.</param>
    /// <param name="cache">Folder of answers.</param>
    /// <param name="cancellation">Stops; answers that came stay.</param>
    public static async Task<SynthesisResult> Run(IEnumerable<Document> documents, IGenerator generator, SynthesisOptions options, string output, string cache, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(documents);
        ArgumentNullException.ThrowIfNull(generator);
        ArgumentNullException.ThrowIfNull(options);
        if (!options.Prompt.Contains("{text}", StringComparison.Ordinal)) throw PerennialException.Usage("the prompt must hold {text}, which stands for the document");
        Directory.CreateDirectory(cache);
        var (asked, answers, cached, requests, tokens, failed) = (0L, 0L, 0L, 0L, 0L, 0L);
        var stopped = false;
        var temporary = output + AtomicFile.TemporarySuffix;
        await using (var stream = new FileStream(temporary, FileMode.Create, FileAccess.Write, FileShare.None))
        {
            // In batches, so that answers are written in order in bounded memory.
            foreach (var batch in documents.Chunk(64 * options.Parallel))
            {
                var texts = new string?[batch.Length];
                await System.Threading.Tasks.Parallel.ForAsync(0, batch.Length, new ParallelOptions { MaxDegreeOfParallelism = options.Parallel, CancellationToken = cancellation }, async (i, token) =>
                {
                    Interlocked.Increment(ref asked);
                    var prompt = options.Prompt.Replace("{text}", Encoding.UTF8.GetString(batch[i].Text.Span), StringComparison.Ordinal);
                    var path = Path.Combine(cache, Key(generator, options, prompt));
                    if (File.Exists(path))
                    {
                        texts[i] = await File.ReadAllTextAsync(path, token).ConfigureAwait(false);
                        Interlocked.Increment(ref cached);
                        return;
                    }
                    if (Interlocked.Read(ref requests) >= options.RequestBudget || Interlocked.Read(ref tokens) >= options.TokenBudget)
                    {
                        stopped = true;
                        return;
                    }
                    Interlocked.Increment(ref requests);
                    var answer = await Ask(generator, new GenerationRequest(prompt, options.Tokens, options.Temperature, options.Seed), options.Attempts, token).ConfigureAwait(false);
                    if (answer is null)
                    {
                        Interlocked.Increment(ref failed);
                        return;
                    }
                    Interlocked.Add(ref tokens, answer.TokensUsed);
                    AtomicFile.WriteText(path, answer.Text);
                    texts[i] = answer.Text;
                }).ConfigureAwait(false);
                for (var i = 0; i < batch.Length; i++)
                {
                    if (texts[i] is not { Length: > 0 } text) continue;
                    answers++;
                    var origin = batch[i].Origin;
                    var prompt = options.Prompt.Replace("{text}", Encoding.UTF8.GetString(batch[i].Text.Span), StringComparison.Ordinal);
                    JsonSerializer.Serialize(stream, new
                    {
                        text, parent_path = origin.Path, parent_record = origin.Record, parent_line = origin.Line, parent_offset = origin.Offset, generator = generator.Id, prompt_xxh128 = Hash(prompt), seed = options.Seed,
                    }, DocumentJson.Relaxed);
                    stream.WriteByte((byte)'\n');
                }
                if (stopped) break;
            }
            stream.Flush(flushToDisk: true);
        }
        File.Move(temporary, output, overwrite: true);
        return new SynthesisResult(asked, answers, cached, requests, tokens, failed, stopped);
    }

    private static async Task<Generated?> Ask(IGenerator generator, GenerationRequest request, int attempts, CancellationToken cancellation)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await generator.Generate(request, cancellation).ConfigureAwait(false);
            }
            catch (Exception error) when (error is HttpRequestException or TaskCanceledException && !cancellation.IsCancellationRequested)
            {
                if (attempt >= attempts) return null;
                await Task.Delay(TimeSpan.FromMilliseconds(250 << Math.Min(attempt, 8)), cancellation).ConfigureAwait(false);
            }
        }
    }

    private static string Key(IGenerator generator, SynthesisOptions options, string prompt) => Hash($"{generator.Id}\n{options.Tokens} {options.Temperature:R} {options.Seed}\n{prompt}");

    private static string Hash(string text) => Convert.ToHexStringLower(XxHash128.Hash(Encoding.UTF8.GetBytes(text)));
}
