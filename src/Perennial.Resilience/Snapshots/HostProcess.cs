using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Perennial.Core;

namespace Perennial.Resilience.Snapshots;

/// <summary>What makes a manager's process outlive its trainers, and starting one.</summary>
public static partial class HostProcess
{
    /// <summary>Starts a manager's process and waits until it answers.</summary>
    /// <param name="start">The command; it must come to <see cref="SnapshotHost.RunAsync"/>.</param>
    /// <param name="endpoint">Where it will listen.</param>
    /// <param name="runId">The run.</param>
    /// <param name="timeout">How long to wait.</param>
    /// <exception cref="PerennialException">Exit 1: it ended or did not answer.</exception>
    public static Process Start(ProcessStartInfo start, SnapshotEndpoint endpoint, Guid runId, TimeSpan timeout)
    {
        ArgumentNullException.ThrowIfNull(start);
        var process = Process.Start(start) ?? throw PerennialException.Failed("the snapshot manager could not be started");
        try
        {
            AwaitAnswer("the snapshot manager", () => process.HasExited ? $"ended with code {process.ExitCode}" : null, endpoint, runId, timeout);
            return process;
        }
        catch (PerennialException)
        {
            if (!process.HasExited) process.Kill();
            throw;
        }
    }

    /// <summary>Waits until a manager answers.</summary>
    /// <param name="name">What it is called in messages.</param>
    /// <param name="ended">How its process ended; null while it is there.</param>
    /// <param name="endpoint">Where it listens.</param>
    /// <param name="runId">The run.</param>
    /// <param name="timeout">How long to wait.</param>
    /// <exception cref="PerennialException">Exit 1: it ended or did not answer.</exception>
    public static void AwaitAnswer(string name, Func<string?> ended, SnapshotEndpoint endpoint, Guid runId, TimeSpan timeout)
    {
        ArgumentNullException.ThrowIfNull(ended);
        var began = Stopwatch.GetTimestamp();
        while (true)
        {
            try
            {
                SnapshotClient.Connect(endpoint, runId, TimeSpan.FromSeconds(1)).Dispose();
                return;
            }
            catch (IOException error)
            {
                if (ended() is { } how) throw PerennialException.Failed($"{name} {how} before it answered at {endpoint}", error);
                if (Stopwatch.GetElapsedTime(began) > timeout) throw PerennialException.Failed(string.Create(CultureInfo.InvariantCulture, $"{name} did not answer at {endpoint} within {timeout.TotalSeconds:0.#} s: {error.Message}"), error);
                // Nothing tells when another process begins to listen.
                Thread.Sleep(10);
            }
        }
    }

    /// <summary>
    /// Leaves the session of whoever started this process, so that a signal to that process group does not come here, and ignores interrupt,
    /// quit and hang-up, and the signal of a limit on file sizes: a checkpoint beyond it fails as on a full disk. Termination is not ignored: it is
    /// how a node is shut down.
    /// </summary>
    internal static IDisposable StandAlone()
    {
        // Fails where the process leads a group already; then it is alone in it.
        if (!OperatingSystem.IsWindows()) _ = SetSession();
        const PosixSignal fileTooLarge = (PosixSignal)25;
        PosixSignal[] signals = [PosixSignal.SIGINT, PosixSignal.SIGQUIT, PosixSignal.SIGHUP, .. OperatingSystem.IsLinux() ? [fileTooLarge] : Array.Empty<PosixSignal>()];
        var ignored = signals.Select(signal => PosixSignalRegistration.Create(signal, context => context.Cancel = true)).ToArray();
        return new Registrations(ignored);
    }

    [LibraryImport("libc", EntryPoint = "setsid")]
    private static partial int SetSession();

    private sealed class Registrations(PosixSignalRegistration[] registrations) : IDisposable
    {
        public void Dispose()
        {
            foreach (var registration in registrations) registration.Dispose();
        }
    }
}
