using Perennial.Core.Recipes;
using Perennial.Experiments.Measured;
using Perennial.Experiments.Resilience;

namespace Perennial.Experiments.Tests;

public sealed class SnapshotTrialTests
{
    [Fact]
    public void The_cost_of_a_snapshot_is_that_of_the_short_steps()
    {
        if (OperatingSystem.IsWindows()) return;
        using var folder = new TemporaryFolder();
        string[] lines =
        [
            """{"event":"bench","mode":"nothing","step_seconds":3.0,"slowdown":0,"wait_seconds":0,"bytes":0}""",
            """{"event":"bench","mode":"memory","step_seconds":3.2,"slowdown":0.07,"wait_seconds":0.05,"bytes":300}""",
            """{"event":"bench","mode":"asynchronous-disk","step_seconds":3.3,"slowdown":0.1,"wait_seconds":0.04,"bytes":300}""",
            """{"event":"bench","mode":"synchronous-disk","step_seconds":3.6,"slowdown":0.2,"wait_seconds":0.6,"bytes":300}""",
            """{"event":"snapshot_cost","seconds":0.06,"slowdown":0.02}""",
        ];
        var outcome = new SnapshotTrial(new SnapshotTrialOptions()).Measure(new ExperimentContext
        {
            Seed = 1, Folder = folder["run"], Components = ComponentRegistry.Scan([typeof(SnapshotTrial).Assembly]), Program = new ProgramCommand("/bin/sh", ["-c", $"cat << END\n{string.Join('\n', lines)}\nEND"]),
            Progress = new Progress<double>(), Cancellation = CancellationToken.None,
        });
        Assert.Equal(0.02, outcome.Measures["memory-slowdown"]);
        Assert.Equal(0.1, outcome.Measures["asynchronous-disk-slowdown"]);
        Assert.Equal(0.05, outcome.Measures["memory-wait"]);
    }
}
