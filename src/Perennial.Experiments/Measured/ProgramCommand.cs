using System.Diagnostics;
using Perennial.Core;

namespace Perennial.Experiments.Measured;

/// <summary>How this program is started again.</summary>
/// <param name="File">The executable.</param>
/// <param name="Prefix">Arguments in front of the command: the assembly, when <c>dotnet</c> is the executable.</param>
public sealed record ProgramCommand(string File, IReadOnlyList<string> Prefix)
{
    /// <summary>The program that runs now. <paramref name="assembly"/> is the path of its entry assembly.</summary>
    public static ProgramCommand Current(string assembly)
    {
        var file = Environment.ProcessPath ?? throw new InvalidOperationException("this process has no path");
        return Path.GetFileNameWithoutExtension(file) == "dotnet" ? new(file, [assembly]) : new(file, []);
    }

    /// <summary>Runs a command to its end and returns its exit code with everything it wrote, line by line.</summary>
    /// <param name="arguments">The command and its arguments.</param>
    /// <param name="limit">How long it may take.</param>
    /// <param name="cancellation">Ends it: first by asking, then by killing.</param>
    /// <param name="environment">What it finds in its environment beside ours.</param>
    /// <exception cref="PerennialException">Exit 1: it took longer than <paramref name="limit"/>, and was killed with all its children.</exception>
    /// <exception cref="OperationCanceledException">Stopped.</exception>
    public ProgramResult Run(IEnumerable<string> arguments, TimeSpan limit, CancellationToken cancellation, IReadOnlyDictionary<string, string>? environment = null)
    {
        var start = new ProcessStartInfo(File) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        foreach (var argument in Prefix.Concat(arguments)) start.ArgumentList.Add(argument);
        foreach (var (name, value) in environment ?? new Dictionary<string, string>()) start.Environment[name] = value;
        var (output, errors) = (new List<string>(), new List<string>());
        using var process = Process.Start(start)!;
        process.OutputDataReceived += (_, line) => Keep(output, line.Data);
        process.ErrorDataReceived += (_, line) => Keep(errors, line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        try
        {
            using var timed = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            timed.CancelAfter(limit);
            process.WaitForExitAsync(timed.Token).GetAwaiter().GetResult();
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit();
            cancellation.ThrowIfCancellationRequested();
            throw PerennialException.Failed($"`perennial {string.Join(' ', start.ArgumentList.Skip(Prefix.Count))}` took longer than {limit.TotalSeconds:0} s and was killed; its last words: {string.Join(" | ", errors.TakeLast(3))}");
        }
        return new(process.ExitCode, output, errors);
    }

    private static void Keep(List<string> lines, string? line)
    {
        if (line is null) return;
        lock (lines) lines.Add(line);
    }
}

/// <summary>What a finished command left.</summary>
/// <param name="ExitCode">Its exit code.</param>
/// <param name="Output">Lines of its standard output.</param>
/// <param name="Errors">Lines of its standard error.</param>
public sealed record ProgramResult(int ExitCode, IReadOnlyList<string> Output, IReadOnlyList<string> Errors);
