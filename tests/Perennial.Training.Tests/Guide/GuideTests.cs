using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using Perennial.Tensors;
using Perennial.Training.Recipes;
using Perennial.Training.Runs;

namespace Perennial.Training.Tests.Guide;

/// <summary>The examples of docs/write-a-component.md are the files of this folder, and a recipe trains with all of them.</summary>
public sealed partial class GuideTests : IDisposable
{
    private readonly string place = Directory.CreateTempSubdirectory("perennial-guide-").FullName;

    public void Dispose() => Directory.Delete(place, recursive: true);

    private static string Here([CallerFilePath] string path = "") => Path.GetDirectoryName(path)!;

    [GeneratedRegex(@"`src/[\w./]+/(\w+\.cs)`:\n\n```csharp\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Example();

    [Fact]
    public void Every_example_is_a_file_that_is_compiled_here()
    {
        var guide = File.ReadAllText(Path.Combine(Here(), "../../../docs/write-a-component.md")).ReplaceLineEndings("\n");
        var examples = Example().Matches(guide);
        Assert.Equal(4, examples.Count);
        Assert.All(examples, example => Assert.Equal(example.Groups[2].Value, File.ReadAllText(Path.Combine(Here(), example.Groups[1].Value)).ReplaceLineEndings("\n")));
    }

    [Fact]
    public void A_recipe_trains_with_all_of_them()
    {
        TorchRuntime.EnsureLoaded();
        var text = Path.Combine(place, "text.txt");
        File.WriteAllText(text, string.Concat(Enumerable.Range(0, 600).Select(i => i % 3 == 0 ? $"NOBODY SHOUTS {i} TIMES.\n\n" : $"the square of {i} is {i * i}.\n\n")));
        var recipe = new RecipeLoader(House.WithTests).Parse($$"""
            name: guide
            data:
              sources: [{ path: {{text}}, split: paragraph }]
              tokenizer: { kind: bpe, vocabulary: 300 }
              cache: {{Path.Combine(place, "cache")}}
              pipeline: [{ kind: shouting, capitals: 0.3 }]
            model: { kind: llama, layers: 1, width: 16, heads: 2, context: 16 }
            objective: first-half
            optimizer: { kind: sign-descent, rate: 1e-3, weight-decay: 0.1 }
            practices: [{ kind: halve }]
            training: { steps: 5, batch: 2, precision: float32, threads: 1 }
            evaluation: { every: 0 steps, tasks: [], prompts: [] }
            """, "guide.yaml");
        var result = new TrainingRun(House.WithTests).Execute(recipe, new TrainingRunOptions { RunFolder = Path.Combine(place, "run") }, [new Recorder()]);
        Assert.Equal(5, result.Step);
        // Nobody shouts in what was prepared.
        Assert.All(Directory.GetFiles(Path.Combine(place, "cache"), "account.json", SearchOption.AllDirectories), account => Assert.Contains("shouts", File.ReadAllText(account), StringComparison.Ordinal));
    }
}
