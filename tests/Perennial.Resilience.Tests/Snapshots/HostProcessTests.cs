using System.Diagnostics;
using System.Globalization;
using Perennial.Core;
using Perennial.Resilience.Snapshots;

namespace Perennial.Resilience.Tests.Snapshots;

public sealed class HostProcessTests
{
    [Fact]
    public void A_manager_is_in_a_session_of_its_own_and_ignores_interrupts()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "signals and sessions are those of Unix");
        using var cluster = new Cluster(1, 0);
        var manager = cluster.StartHostProcess(0);
        var pid = manager.Id.ToString(CultureInfo.InvariantCulture);
        if (File.Exists($"/proc/{pid}/stat"))
            Assert.Equal(pid, File.ReadAllText($"/proc/{pid}/stat").Split(") ")[^1].Split(' ')[3]); // the session's number
        foreach (var signal in new[] { "-INT", "-HUP" }) Process.Start("kill", [signal, pid]).WaitForExit();
        cluster.Attach(0);
        cluster.TakeAndCommit(1);
        Assert.False(manager.HasExited);
    }

    [Fact]
    public void A_manager_that_cannot_start_is_told()
    {
        using var cluster = new Cluster(1, 0);
        var error = Assert.Throws<PerennialException>(() => HostProcess.Start(ChildProcess.Command("nobody"), cluster.Shape.Endpoint(0), cluster.Shape.RunId, ClusterShape.Patience));
        Assert.Contains("ended with code 2", error.Message, StringComparison.Ordinal);
    }
}
