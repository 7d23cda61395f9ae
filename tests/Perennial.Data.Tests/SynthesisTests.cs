using System.Text;
using Perennial.Data.Synthesis;

namespace Perennial.Data.Tests;

public class SynthesisTests
{
    /// <summary>Fails the first time it is asked anything.</summary>
    private sealed class Shaky : IGenerator
    {
        private readonly HashSet<string> seen = [];

        public int Asked { get; private set; }

        public string Id => "shaky";

        public Task<Generated> Generate(GenerationRequest request, CancellationToken cancellation)
        {
            lock (seen)
            {
                if (seen.Add(request.Prompt)) throw new HttpRequestException("503");
                Asked++;
            }
            return Task.FromResult(new Generated(request.Prompt.ToUpperInvariant(), 10));
        }
    }

    private static Document[] Documents(int count) => [.. Enumerable.Range(0, count).Select(i => new Document(Encoding.UTF8.GetBytes($"text {i}"), new Provenance("a.txt", i, i + 1)))];

    [Fact]
    public async Task Answers_are_kept_retried_and_within_budget()
    {
        using var folder = new TemporaryFolder();
        var generator = new Shaky();
        var options = new SynthesisOptions { Prompt = "say: {text}", RequestBudget = 4, Parallel = 1 };
        var output = Path.Combine(folder.Path, "out.jsonl");
        var first = await Synthesizer.Run(Documents(6), generator, options, output, Path.Combine(folder.Path, "cache"));
        Assert.Equal((4L, true, 40L), (first.Answers, first.Stopped, first.TokensUsed));
        var second = await Synthesizer.Run(Documents(6), generator, options, output, Path.Combine(folder.Path, "cache"));
        Assert.Equal((6L, 4L, 2L, false), (second.Answers, second.FromCache, second.Requests, second.Stopped));
        Assert.Equal(6, generator.Asked);
        var lines = File.ReadAllLines(output);
        Assert.Equal(6, lines.Length);
        Assert.Contains("\"text\":\"SAY: TEXT 3\",\"parent_path\":\"a.txt\",\"parent_record\":3", lines[3], StringComparison.Ordinal);
    }

    [Fact]
    public async Task Traces_are_right_and_repeatable()
    {
        var tracer = new ArithmeticTracer();
        var one = await tracer.Generate(new GenerationRequest("p", 0, 0, 1), default);
        Assert.Equal(one.Text, (await tracer.Generate(new GenerationRequest("p", 0, 0, 1), default)).Text);
        Assert.NotEqual(one.Text, (await tracer.Generate(new GenerationRequest("q", 0, 0, 1), default)).Text);
        foreach (var line in one.Text.Split('\n').Where(line => line.StartsWith("line ", StringComparison.Ordinal)))
        {
            var words = line.Split(", ")[2].Split(' ');
            var (x, y) = (long.Parse(words[0]), long.Parse(words[2]));
            Assert.Equal(words[1] switch { "+" => x + y, "-" => x - y, _ => x * y }, long.Parse(words[4]));
        }
    }
}
