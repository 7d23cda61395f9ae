using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace Perennial.Cli.Launch;

/// <summary>One worker that the launcher started.</summary>
internal sealed partial class WorkerProcess : IDisposable
{
    private const int Terminate = 15, Kill = 9, Stop = 19, Continue = 18, User1 = 10;
    private readonly Process process;
    private readonly long started = Stopwatch.GetTimestamp();
    private volatile bool isDisposed;

    private WorkerProcess(int number, Process process) => (Number, Id, this.process) = (number, process.Id, process);

    /// <summary>The worker's number on this machine; a worker that takes a dead one's place has its number.</summary>
    public int Number { get; }

    public int Id { get; }

    /// <summary>Whether it is gone; stays true when it was disposed, for whoever still has it in a list.</summary>
    public bool HasExited => isDisposed || process.HasExited;

    public int ExitCode => process.ExitCode;

    /// <summary>Starts this program once more, as a worker.</summary>
    /// <param name="number">Its number.</param>
    /// <param name="arguments">Its command line.</param>
    /// <param name="variables">What it finds in its environment beside ours.</param>
    /// <param name="output">Takes each line of its standard output.</param>
    /// <param name="error">Takes each line of its standard error.</param>
    public static WorkerProcess Start(int number, IEnumerable<string> arguments, IReadOnlyDictionary<string, string> variables, Action<string> output, Action<string> error)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        // "dotnet perennial.dll": the program is the first argument.
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet") start.ArgumentList.Add(typeof(WorkerProcess).Assembly.Location);
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        foreach (var (name, value) in variables) start.Environment[name] = value;
        var process = Process.Start(start)!;
        process.OutputDataReceived += (_, line) => Pass(line.Data, output);
        process.ErrorDataReceived += (_, line) => Pass(line.Data, error);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return new WorkerProcess(number, process);
    }

    /// <summary>Asks it to finish its step, save and leave.</summary>
    public void Ask() => Signal(Terminate);

    public void KillNow()
    {
        if (OperatingSystem.IsWindows()) process.Kill();
        else Signal(Kill);
    }

    public void Hang() => Signal(Stop);

    public void GoOn() => Signal(Continue);

    /// <summary>Has it drop its connections to its peers (<see cref="WorkerSignals"/>).</summary>
    public void DropConnections() => Signal(User1);

    /// <summary>How long it has been there.</summary>
    public TimeSpan Age => Stopwatch.GetElapsedTime(started);

    /// <summary>Makes every write beyond so many bytes of a file fail, as a full disk does; null lets it write again.</summary>
    public void LimitFiles(ulong? bytes)
    {
        if (!HasExited) FileLimit.Set(Id, bytes);
    }

    /// <summary>Waits until it is gone and its last lines were passed on.</summary>
    public void Wait() => process.WaitForExit();

    /// <summary>Waits for so long at most; true when it is gone. Its last lines may still be under way.</summary>
    public bool Wait(TimeSpan most) => isDisposed || process.WaitForExit(most);

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"worker {Number} (process {Id})");

    public void Dispose()
    {
        if (isDisposed) return;
        if (!process.HasExited)
        {
            process.Kill();
            process.WaitForExit();
        }
        isDisposed = true;
        process.Dispose();
    }

    private static void Pass(string? line, Action<string> sink)
    {
        if (line is not null) sink(line);
    }

    private void Signal(int signal)
    {
        if (OperatingSystem.IsWindows()) throw new PlatformNotSupportedException("signals are not known on Windows");
        if (!HasExited) _ = SendSignal(Id, signal);
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int SendSignal(int process, int signal);
}
