using System.Runtime.InteropServices;
using Perennial.Training.Parallel;

namespace Perennial.Cli.Launch;

/// <summary>
/// Signals that a launched worker takes: SIGUSR1 drops its connections (so that anyone can try what that does), and SIGXFSZ is ignored, so
/// that a limit on file sizes makes writes fail as a full disk does and not end the process.
/// </summary>
internal sealed class WorkerSignals : IDisposable
{
    private const PosixSignal User1 = (PosixSignal)10, FileTooLarge = (PosixSignal)25;
    private readonly PosixSignalRegistration[] registrations = [];

    public WorkerSignals()
    {
        if (!OperatingSystem.IsLinux()) return;
        registrations =
        [
            PosixSignalRegistration.Create(FileTooLarge, signal => signal.Cancel = true),
            PosixSignalRegistration.Create(User1, signal =>
            {
                signal.Cancel = true;
                Interruption.Raise("connections were dropped on purpose (SIGUSR1)");
            }),
        ];
    }

    /// <summary>Tells the worker's group to break.</summary>
    public Interruption Interruption { get; } = new();

    public void Dispose()
    {
        foreach (var registration in registrations) registration.Dispose();
    }
}
