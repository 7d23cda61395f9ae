using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Data;
using Perennial.Data.Sources;
using Perennial.Data.Synthesis;
using Perennial.Evaluation.Checkpoints;
using Perennial.Tensors;

namespace Perennial.Cli.Commands.Data;

/// <summary><c>perennial data synthesize</c>.</summary>
internal static class DataSynthesizeCommand
{
    private const string KeyVariable = "PERENNIAL_API_KEY";

    public static Command Create(CommandContext context)
    {
        var paths = new Argument<string[]>("PATH") { Description = "Files, folders, globs or addresses of the documents.", Arity = ArgumentArity.OneOrMore };
        var output = new Option<string>("--out") { Description = "The result, .jsonl.", Required = true };
        var endpoint = new Option<string?>("--endpoint") { Description = $"An endpoint of OpenAI's kind, such as http://127.0.0.1:8000/v1 (key in {KeyVariable}). Without it and --checkpoint: worked traces of small programs, by rules." };
        var checkpoint = new Option<string?>("--checkpoint") { Description = "A run folder, a checkpoint or a Hugging Face folder whose model goes on from the prompt." };
        var model = new Option<string>("--model") { Description = "The model's name at the endpoint.", DefaultValueFactory = _ => "default" };
        var prompt = new Option<string>("--prompt") { Description = "The prompt; {text} stands for the document.", DefaultValueFactory = _ => "Rewrite the following text in clear, encyclopedic English.\n\n{text}" };
        var (tokens, parallel) = (new Option<int>("--tokens") { Description = "Most tokens of an answer.", DefaultValueFactory = _ => 512 }, new Option<int>("--parallel") { Description = "Requests at a time.", DefaultValueFactory = _ => 4 });
        var (requests, budget) = (new Option<long?>("--requests") { Description = "Most requests." }, new Option<long?>("--token-budget") { Description = "Most tokens, prompts included." });
        var (temperature, seed) = (new Option<double>("--temperature") { Description = "Sampling temperature.", DefaultValueFactory = _ => 0.7 }, new Option<ulong>("--seed") { Description = "Key of the sampling." });
        var cache = new Option<string?>("--cache") { Description = "Folder of answers, so that none is asked for twice; by default beside the result." };
        var field = new Option<string>("--field") { Description = "Field or column of the text.", DefaultValueFactory = _ => "text" };
        var json = CommandExtensions.Json();
        return new Command("synthesize", "Make text from documents: an endpoint, a checkpoint, or rules; answers are cached, failures tried again, budgets kept.") { paths, output, endpoint, checkpoint, model, prompt, tokens, parallel, requests, budget, temperature, seed, cache, field, json }.Does(parsed =>
        {
            if (parsed.GetValue(tokens) < 1 || parsed.GetValue(parallel) is < 1 or > 1024) throw PerennialException.Usage("--tokens must be at least 1, --parallel from 1 to 1024");
            using var client = new HttpClient { Timeout = TimeSpan.FromMinutes(10) };
            using var loaded = parsed.GetValue(checkpoint) is { } path ? Open(path, context) : null;
            using var own = loaded is null ? null : new CheckpointGenerator(loaded);
            IGenerator generator = (parsed.GetValue(endpoint), own) switch
            {
                (not null, not null) => throw PerennialException.Usage("--endpoint and --checkpoint: give one of them"),
                (null, null) => new ArithmeticTracer(),
                (null, { } mine) => mine,
                ({ } address, _) when Uri.TryCreate(address, UriKind.Absolute, out var uri) => new OpenAiGenerator(client, uri, parsed.GetValue(model)!, Environment.GetEnvironmentVariable(KeyVariable)),
                _ => throw PerennialException.Usage($"--endpoint '{parsed.GetValue(endpoint)}' is not an address"),
            };
            var documents = parsed.GetRequiredValue(paths).SelectMany(path => DocumentSource.Read(new SourceOptions { Path = path, Field = parsed.GetValue(field)! }, context.Cancellation).ToBlockingEnumerable(context.Cancellation));
            var options = new SynthesisOptions
            {
                Prompt = parsed.GetValue(prompt)!, Tokens = parsed.GetValue(tokens), Temperature = parsed.GetValue(temperature), Seed = parsed.GetValue(seed), Parallel = parsed.GetValue(parallel),
                RequestBudget = parsed.GetValue(requests) ?? long.MaxValue, TokenBudget = parsed.GetValue(budget) ?? long.MaxValue,
            };
            var result = Synthesizer.Run(documents, generator, options, parsed.GetRequiredValue(output), parsed.GetValue(cache) ?? parsed.GetRequiredValue(output) + ".answers", context.Cancellation).GetAwaiter().GetResult();
            if (parsed.GetValue(json))
                context.Out.WriteJson(new JsonObject { ["event"] = "done", ["documents"] = result.Documents, ["answers"] = result.Answers, ["from_cache"] = result.FromCache, ["requests"] = result.Requests, ["tokens"] = result.TokensUsed, ["failed"] = result.Failed, ["stopped"] = result.Stopped });
            else
                context.Out.WriteLine($"{result.Answers:N0} answers for {result.Documents:N0} documents ({result.FromCache:N0} from the cache, {result.Requests:N0} requests, {result.TokensUsed:N0} tokens, {result.Failed:N0} failed){(result.Stopped ? "; the budget is spent, the same command with a larger one goes on" : "")}");
            return result.Failed > 0 ? ExitCode.Failed : ExitCode.Done;
        });
    }

    private static LoadedCheckpoint Open(string path, CommandContext context)
    {
        TorchRuntime.Initialize();
        return LoadedCheckpoint.Open(path, context.Error.WriteLine);
    }
}
