using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Perennial.Training.Loop;
using TorchSharp;

namespace Perennial.Training.Runs;

/// <summary>What a report tells about where and on what a run happened.</summary>
internal static class RunFacts
{
    /// <param name="parts">The run.</param>
    /// <param name="yardsticks">Where what compressors make of the held-out text is known from; null leaves it out.</param>
    public static JsonObject Of(RunParts parts, RunMeasurements? yardsticks)
    {
        var statistics = parts.Data.Statistics;
        var facts = new JsonObject
        {
            ["environment"] = new JsonObject
            {
                ["processor"] = Processor(),
                ["cores"] = Environment.ProcessorCount,
                ["threads"] = torch.get_num_threads(),
                ["memory_bytes"] = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes,
                ["system"] = RuntimeInformation.OSDescription,
                ["dotnet"] = RuntimeInformation.FrameworkDescription,
                ["torchsharp"] = typeof(torch).Assembly.GetName().Version?.ToString(3),
                ["libtorch"] = torch.__version__,
                ["perennial"] = typeof(RunFacts).Assembly.GetName().Version?.ToString(3),
                ["revision"] = typeof(RunFacts).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+') is [_, var revision] ? revision : null,
                ["precision"] = parts.Model.Precision.ToString().ToLowerInvariant(),
            },
            ["data"] = new JsonObject
            {
                ["fingerprint"] = parts.StreamFingerprint,
                ["tokenizer"] = parts.Data.Tokenizer.Fingerprint,
                ["vocabulary"] = parts.Data.Tokenizer.VocabularySize,
                ["documents"] = statistics.Sum(source => source.Documents),
                ["training_bytes"] = statistics.Sum(source => source.TextBytes),
                ["training_tokens"] = statistics.Sum(source => source.Tokens),
                ["held_out_documents"] = statistics.Sum(source => source.HeldOutDocuments),
                ["held_out_tokens"] = statistics.Sum(source => source.HeldOutTokens),
                ["held_out_bytes"] = statistics.Sum(source => source.HeldOutBytes),
                ["rejected_documents"] = statistics.Sum(source => source.Rejected.Values.Sum()),
            },
        };
        if (yardsticks is not null && parts.Texts.All is not null) facts["yardsticks"] = yardsticks.Yardsticks(parts);
        return facts;
    }

    /// <summary>The processor's name.</summary>
    public static string Processor()
    {
        const string path = "/proc/cpuinfo";
        if (!File.Exists(path)) return RuntimeInformation.ProcessArchitecture.ToString();
        var line = File.ReadLines(path).FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal));
        return line is null ? RuntimeInformation.ProcessArchitecture.ToString() : line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim();
    }
}
