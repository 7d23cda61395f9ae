using System.CommandLine;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Resilience.Snapshots;

namespace Perennial.Cli.Commands;

/// <summary><c>perennial snapshot-host</c>: the process that owns a node's snapshots. Started by <c>launch</c>, not by people.</summary>
internal static class SnapshotHostCommand
{
    public const string Name = "snapshot-host";

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
}
