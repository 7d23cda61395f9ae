using System.CommandLine;
using Perennial.Cli.Hosting;
using Perennial.Cli.Launch;
using Perennial.Core;

namespace Perennial.Cli.Commands.Data;

/// <summary>Further processes of the same command that share its work folder: <c>--workers N</c>.</summary>
internal sealed class WorkerProcesses : IDisposable
{
    private const string Mark = "PERENNIAL_DATA_WORKER";

    private readonly List<WorkerProcess> processes = [];
    private readonly List<string> complaints = [];

    /// <summary>Whether this process is one of the further ones.</summary>
    public bool IsWorker { get; private init; }

    /// <summary>The option.</summary>
    public static Option<int> Option() => new("--workers") { Description = "Processes that share the work; each may also be started by hand, on any machine that sees the folder.", DefaultValueFactory = _ => 1 };

    /// <summary>Starts all but one of the processes with this command line.</summary>
    public static WorkerProcesses Start(ParseResult parsed, Option<int> workers, CommandContext context)
    {
        var count = parsed.GetValue(workers);
        if (count is < 1 or > 1024) throw PerennialException.Usage("--workers must be from 1 to 1024");
        if (Environment.GetEnvironmentVariable(Mark) is not null) return new WorkerProcesses { IsWorker = true };
        var started = new WorkerProcesses();
        var arguments = parsed.Tokens.Select(token => token.Value).ToList();
        for (var number = 1; number < count; number++)
        {
            started.processes.Add(WorkerProcess.Start(number, arguments, new Dictionary<string, string> { [Mark] = "1" }, _ => { }, line =>
            {
                lock (started.complaints) started.complaints.Add(line);
            }));
        }
        if (count > 1) context.Error.WriteLine($"{count} processes share the work");
        return started;
    }

    /// <summary>Waits for the others. What they could not do this process has done; that one failed is said.</summary>
    public void Wait()
    {
        foreach (var process in processes) process.Wait();
        if (processes.Exists(process => process.ExitCode != 0)) throw PerennialException.Failed($"a worker process failed: {string.Join(" | ", complaints.TakeLast(3))}");
    }

    public void Dispose()
    {
        foreach (var process in processes) process.Dispose();
    }
}
