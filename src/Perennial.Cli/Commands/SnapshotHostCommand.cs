using System.CommandLine;
using System.Diagnostics;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Resilience.Snapshots;

namespace Perennial.Cli.Commands;

/// <summary><c>perennial snapshot-host</c>: the process that owns a node's snapshots. Started by <c>launch</c>, not by people.</summary>
internal static class SnapshotHostCommand
{
    private const string Name = "snapshot-host";

    public static Command Create(CommandContext context)
    {
        var run = new Option<Guid>("--run-id") { Description = "The run.", Required = true };
        var folder = new Option<string>("--folder") { Description = "A folder of a RAM file system.", Required = true };
        var endpoint = new Option<string>("--endpoint") { Description = "unix:/path or tcp:host:port.", Required = true };
        return new Command(Name, "Keep snapshots of training states in memory for the trainers of this machine.") { run, folder, endpoint }.Hides().Does(parsed =>
        {
            SnapshotHost.RunAsync(new SnapshotHostOptions { RunId = parsed.GetValue(run), Folder = parsed.GetRequiredValue(folder), Endpoint = SnapshotEndpoint.Parse(parsed.GetRequiredValue(endpoint)) }, context.Cancellation).GetAwaiter().GetResult();
            return ExitCode.Done;
        });
    }

    /// <summary>The manager of a run on this machine: the one that answers, or a new one.</summary>
    public static SnapshotEndpoint Ensure(Guid run)
    {
        var folder = SnapshotHostOptions.DefaultFolder(run, "local");
        Directory.CreateDirectory(folder);
        var endpoint = new SnapshotEndpoint(Path.Combine(folder, "s"), -1);
        try
        {
            SnapshotClient.Connect(endpoint, run, TimeSpan.FromSeconds(2)).Dispose();
            return endpoint;
        }
        catch (IOException)
        {
            var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
            if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet") start.ArgumentList.Add(typeof(SnapshotHostCommand).Assembly.Location);
            foreach (var argument in new[] { Name, "--run-id", $"{run}", "--folder", folder, "--endpoint", $"{endpoint}" }) start.ArgumentList.Add(argument);
            HostProcess.Start(start, endpoint, run, TimeSpan.FromSeconds(30)).Dispose();
            return endpoint;
        }
    }
}
