using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Perennial.EndToEnd;

/// <summary>The data engine as processes: several at once, and killed ones, end in the same bytes.</summary>
public class DataEngineTests
{
    private static string[] Sources(Workplace place, int files, int documents)
    {
        var text = File.ReadAllText(Path.Combine(Cli.Root, "corpus/austen/northanger-abbey.txt")).Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
        return [.. Enumerable.Range(0, files).Select(file => place.Write($"in-{file}.jsonl", string.Concat(Enumerable.Range(0, documents)
            .Select(i => JsonSerializer.Serialize(new { text = string.Join("\n\n", text.Skip((file * 37 + i * 3) % 500).Take(6)) }) + "\n")) + (file == 1 ? "{broken\n" : "")))];
    }

    private static string Content(string folder) => string.Join('\n', Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
        .Where(path => Path.GetFileName(path) is not ("account.json" or "report.html")).Order(StringComparer.Ordinal).Select(path => Path.GetRelativePath(folder, path) + Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(path)))));

    [Fact]
    public async Task One_process_four_processes_and_a_killed_one_give_the_same_bytes()
    {
        using var place = new Workplace();
        var sources = Sources(place, 6, 120);
        string[] Command(string output, params string[] more) => ["data", "dedup", .. sources, "--out", place[output], "--with", "whitespace", "--with", "minhash-dedup", "--with", "substring-dedup", "--threads", "1", .. more];
        var (code, output, error) = Cli.Run(Command("one", "--json"));
        Assert.True(code == 0, error);
        var done = Cli.LastLine(output);
        Assert.Equal((720, 1, 0), ((int)done["documents"]!, (int)done["malformed"]!, (int)done["unaccounted"]!));
        Assert.True((int)done["kept_documents"]! < 720);
        Assert.True(File.Exists(Path.Combine(place["one"], "report.html")));
        Assert.Equal(0, Cli.Run(Command("four", "--workers", "4")).Code);
        Assert.Equal(Content(place["one"]), Content(place["four"]));

        using (var process = Cli.Start(Command("killed")))
        {
            _ = process.StandardError.ReadToEndAsync();
            var work = Path.Combine(place["killed"], ".work");
            // The killed process must not know: its files are looked at.
            while (!process.HasExited && !File.Exists(Path.Combine(work, "stage-0-00002.done"))) Thread.Sleep(1);
            process.Kill();
            process.WaitForExit();
            var finished = Directory.Exists(work) ? Directory.GetFiles(work, "stage-0-*.done").ToDictionary(path => path, File.GetLastWriteTimeUtc) : [];
            using var again = Cli.Start(Command("killed"));
            var said = again.StandardError.ReadToEndAsync();
            // What was finished keeps its time as long as the work folder stands: it is not done again.
            while (!again.HasExited)
            {
                // Asked for the time first: the folder goes away at the end, between two questions too.
                foreach (var (path, time) in finished) Assert.True(File.GetLastWriteTimeUtc(path) == time || !File.Exists(path), $"{path} was done again");
                // A file could be done again at any time of that run: they are looked at all along.
                Thread.Sleep(5);
            }
            Assert.True(again.ExitCode == 0, await said);
        }
        Assert.Equal(Content(place["one"]), Content(place["killed"]));
    }

    [Fact]
    public void A_sample_is_traced_to_its_bytes_and_an_account_is_a_page()
    {
        using var place = new Workplace();
        var recipe = place.Recipe();
        var (code, output, error) = Cli.Run("data", "trace", recipe, "--at", "3", "--json");
        Assert.True(code == 0, error);
        foreach (var line in output.TrimEnd().Split('\n').Select(line => JsonNode.Parse(line)!))
        {
            Assert.True((bool)line["verified"]!);
            var bytes = File.ReadAllBytes((string)line["path"]!);
            Assert.Equal((string)line["text"]!, System.Text.Encoding.UTF8.GetString(bytes, (int)line["file_offset"]!, (int)line["text_bytes"]!));
        }
        Assert.Equal(0, Cli.Run("data", "report", recipe, "--out", place["page.html"]).Code);
        Assert.Contains("No operators: every document was kept.", File.ReadAllText(place["page.html"]), StringComparison.Ordinal);
    }
}
