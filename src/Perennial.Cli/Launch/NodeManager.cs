using System.Diagnostics;
using System.Globalization;
using Perennial.Cli.Commands;
using Perennial.Core;
using Perennial.Resilience.Snapshots;

namespace Perennial.Cli.Launch;

/// <summary>The snapshot manager of one node of a launched run: a process that outlives workers and launcher. Several nodes may share a machine.</summary>
/// <param name="run">The run's memory.</param>
/// <param name="node">The node's name.</param>
internal sealed class NodeManager(Guid run, string node) : IDisposable
{
    private Process? process;

    public string Node { get; } = node;

    /// <summary>The memory's folder.</summary>
    public string Folder { get; } = SnapshotHostOptions.DefaultFolder(run, node);

    public SnapshotEndpoint Endpoint => new(Path.Combine(Folder, "s"), -1);

    /// <summary>Whether its process is there.</summary>
    public bool IsAlive => process is { HasExited: false };

    /// <summary>Whether it ended by itself: it was told that the run is done.</summary>
    public bool HasRetired { get; private set; }

    /// <summary>Takes over the manager that an earlier launch left, or starts one; returns at once.</summary>
    public void Start()
    {
        Directory.CreateDirectory(Folder);
        process?.Dispose();
        process = Running() ?? Process.Start(Command())!;
        process.EnableRaisingEvents = true;
    }

    /// <summary>Waits until it answers.</summary>
    /// <exception cref="PerennialException">Exit 1: it ended, or does not answer.</exception>
    public void Await(TimeSpan patience) => HostProcess.AwaitAnswer($"the snapshot manager of {Node}", () => IsAlive ? null : "ended", Endpoint, run, patience);

    /// <summary>SIGKILL; its memory stays.</summary>
    public void KillNow()
    {
        if (!IsAlive) return;
        process!.Kill();
        process.WaitForExit();
    }

    /// <summary>Makes every write beyond so many bytes of a file fail, as a full disk does; null lets it write again.</summary>
    public void LimitFiles(ulong? bytes)
    {
        if (IsAlive) FileLimit.Set(process!.Id, bytes);
    }

    /// <summary>What was in the node's memory is gone, as after a loss of power.</summary>
    public void ForgetMemory()
    {
        if (Directory.Exists(Folder)) Directory.Delete(Folder, recursive: true);
        File.Delete(SnapshotHost.PidFile(Folder));
    }

    /// <summary>Tells it that the run is done: it frees its memory and ends.</summary>
    public void Retire()
    {
        HasRetired = true;
        try
        {
            using var client = SnapshotClient.Connect(Endpoint, run, TimeSpan.FromSeconds(2));
            client.Retire(-1);
        }
        catch (Exception error) when (error is IOException or SnapshotRefusedException)
        {
            // It is gone already, or of another version; its memory may not be.
            KillNow();
            ForgetMemory();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => process?.Dispose();

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"manager of {Node} (process {process?.Id})");

    private Process? Running()
    {
        try
        {
            var takes = TakesThisProgram();
            var known = Process.GetProcessById(int.Parse(File.ReadAllText(SnapshotHost.PidFile(Folder)), CultureInfo.InvariantCulture));
            if (takes) return known;
            // Left by an older program: it ends, and the new one takes over the memory as after any death of a manager.
            using (known)
            {
                known.Kill();
                known.WaitForExit();
            }
            return null;
        }
        catch (Exception error) when (error is IOException or ArgumentException or FormatException)
        {
            return null;
        }
    }

    private bool TakesThisProgram()
    {
        try
        {
            SnapshotClient.Connect(Endpoint, run, TimeSpan.FromSeconds(1)).Dispose();
            return true;
        }
        catch (SnapshotRefusedException)
        {
            return false;
        }
    }

    private ProcessStartInfo Command()
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet") start.ArgumentList.Add(typeof(NodeManager).Assembly.Location);
        foreach (var argument in new[] { SnapshotHostCommand.Name, "--run-id", $"{run}", "--folder", Folder, "--endpoint", $"{Endpoint}" }) start.ArgumentList.Add(argument);
        return start;
    }
}
