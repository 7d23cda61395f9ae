using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;

namespace Perennial.EndToEnd;

/// <summary>Runs the built program as a process of its own, as a user does.</summary>
internal static class Cli
{
    public static string Root { get; } = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(Here())!, "..", ".."));

    // This assembly is in bin/<configuration>/<framework>/<platform>; so is the program in its own project.
    private static string Program => Path.Combine(Root, "src", "Perennial.Cli", Path.GetRelativePath(Path.Combine(Root, "tests", "Perennial.EndToEnd"), AppContext.BaseDirectory), OperatingSystem.IsWindows() ? "perennial.exe" : "perennial");

    public static Process Start(params string[] arguments)
    {
        var start = new ProcessStartInfo(Program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = Root };
        return Process.Start(start)!;
    }

    /// <summary>In a process group of its own, whose number is the process's (Linux), with the signals of a terminal: a shell's background job, which the tests may be, is started deaf to Control-C.</summary>
    public static Process StartGroup(params string[] arguments)
    {
        var start = new ProcessStartInfo("setsid", ["env", "--default-signal=INT,QUIT", Program, .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = Root };
        return Process.Start(start)!;
    }

    /// <summary>Signals a whole group, as a terminal does.</summary>
    public static void Interrupt(Process group) => Signal("INT", $"-{group.Id}");

    /// <summary>Sends a signal to a process, or, with a minus before its number, to a group.</summary>
    public static void Signal(string signal, string process)
    {
        using var kill = Process.Start("kill", [$"-{signal}", "--", process]);
        kill.WaitForExit();
    }

    public static (int Code, string Out, string Error) Run(params string[] arguments)
    {
        using var process = Start(arguments);
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output, error.Result);
    }

    public static JsonObject LastLine(string output) => (JsonObject)JsonNode.Parse(output.TrimEnd().Split('\n')[^1])!;

    private static string Here([CallerFilePath] string path = "") => path;
}

/// <summary>A folder that goes away.</summary>
internal sealed class Workplace : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("perennial-e2e-").FullName;

    public string Write(string name, string text)
    {
        var path = System.IO.Path.Combine(Path, name);
        File.WriteAllText(path, text);
        return path;
    }

    public string this[string name] => System.IO.Path.Combine(Path, name);

    public void Dispose() => Directory.Delete(Path, recursive: true);

    /// <summary>A recipe small enough to train in seconds, over a slice of the shipped corpus.</summary>
    public string Recipe(string more = "", string data = "", int steps = 40)
    {
        var corpus = System.IO.Path.Combine(Path, "text.txt");
        if (!File.Exists(corpus)) File.WriteAllText(corpus, File.ReadAllText(System.IO.Path.Combine(Cli.Root, "corpus/austen/northanger-abbey.txt"))[..120_000]);
        return Write($"recipe-{Guid.NewGuid():N}.yaml", $$"""
            name: tiny
            data:
              sources: [{ path: {{corpus}} }]
              tokenizer: { kind: bpe, vocabulary: 320 }
              cache: {{System.IO.Path.Combine(Path, "cache")}}
              {{data}}
            model: { kind: llama, layers: 1, width: 32, heads: 2, context: 32 }
            training: { steps: {{steps}}, batch: 4, precision: float32, threads: 1 }
            resilience: { checkpoint: 5 steps, keep: 2 }
            evaluation: { every: 20 steps }
            {{more}}
            """);
    }
}
