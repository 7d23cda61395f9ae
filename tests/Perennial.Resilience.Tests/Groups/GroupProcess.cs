using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Perennial.Resilience.Tests.Groups;

/// <summary>This program as another process: one rank of a group, whose lines of output are waited for.</summary>
internal sealed class GroupProcess : IDisposable
{
    private readonly Process process;
    private readonly BlockingCollection<string> lines = [];
    private readonly ConcurrentQueue<string> everything = new();

    public GroupProcess(params string[] arguments)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true, RedirectStandardError = true };
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet") start.ArgumentList.Add(typeof(GroupProcess).Assembly.Location);
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        process = Process.Start(start)!;
        process.OutputDataReceived += (_, line) =>
        {
            if (line.Data is null) return;
            everything.Enqueue(line.Data);
            lines.Add(line.Data);
        };
        process.ErrorDataReceived += (_, line) => everything.Enqueue(line.Data ?? "");
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    public int Rank { get; set; }

    /// <summary>The next line that begins so; others before it are passed over.</summary>
    public string Next(string beginning, TimeSpan timeout)
    {
        var clock = Stopwatch.StartNew();
        while (lines.TryTake(out var line, timeout - clock.Elapsed is { Ticks: > 0 } rest ? rest : TimeSpan.Zero))
            if (line.StartsWith(beginning, StringComparison.Ordinal)) return line;
        Assert.Fail($"no line '{beginning}' from rank {Rank}: {string.Join(" | ", everything)}");
        return "";
    }

    public int ExitCode(TimeSpan timeout)
    {
        Assert.True(process.WaitForExit(timeout), $"rank {Rank} does not end: {string.Join(" | ", everything)}");
        return process.ExitCode;
    }

    public void Send(int signal) => Assert.Equal(0, SendSignal(process.Id, signal));

    public void Dispose()
    {
        if (!process.HasExited) process.Kill();
        process.WaitForExit();
        process.Dispose();
        lines.Dispose();
    }

    [DllImport("libc", EntryPoint = "kill")]
    private static extern int SendSignal(int process, int signal);
}
