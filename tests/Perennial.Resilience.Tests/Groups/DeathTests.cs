using System.Diagnostics;
using System.Globalization;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Tests.Membership;

namespace Perennial.Resilience.Tests.Groups;

/// <summary>Real processes, a real store, and a real death or hang in the middle of an all-reduce.</summary>
public sealed class DeathTests(StoreServer server, ITestOutputHelper output) : IClassFixture<StoreServer>
{
    private const int Kill = 9, Continue = 18, Stop = 19;
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(40);

    [Fact]
    public void A_killed_process_breaks_the_others_at_once_and_they_go_on_in_a_new_epoch()
    {
        using var workers = Start("killed");
        var clock = Stopwatch.StartNew();
        var victim = workers.Signal(1, Kill);
        var causes = workers.Others(victim).Select(survivor => survivor.Next("broken", Deadline)).ToList();
        output.WriteLine($"errors after {clock.ElapsedMilliseconds} ms");
        // Whoever breaks first has lost the victim; the other may hear of that rank's leaving first.
        Assert.All(causes, cause => Assert.Contains("PeerLost", cause));
        Assert.Contains(causes, cause => cause.EndsWith($"PeerLost {victim.Rank}", StringComparison.Ordinal));
        foreach (var survivor in workers.Others(victim))
        {
            Assert.EndsWith(" 2", survivor.Next("done", Deadline));
            Assert.Equal(0, survivor.ExitCode(Deadline));
        }
        output.WriteLine($"done after {clock.ElapsedMilliseconds} ms");
    }

    [Fact]
    public void A_hanging_process_is_left_out_and_finds_so_when_it_wakes()
    {
        using var workers = Start("hanging");
        var clock = Stopwatch.StartNew();
        var victim = workers.Signal(2, Stop);
        // The first to hear of the new epoch aborts; the other hears of that or of the epoch, whichever is sooner.
        var causes = workers.Others(victim).Select(survivor => survivor.Next("broken", Deadline)).ToList();
        output.WriteLine($"aborted after {clock.ElapsedMilliseconds} ms");
        Assert.Contains(causes, cause => cause.EndsWith("Aborted ", StringComparison.Ordinal));
        foreach (var survivor in workers.Others(victim)) Assert.EndsWith(" 2", survivor.Next("done", Deadline));
        victim.Send(Continue);
        victim.Next("broken", Deadline);
    }

    private Workers Start(string run)
    {
        Assert.SkipWhen(GlooLibrary.WhyMissing() is not null, GlooLibrary.WhyMissing() ?? "");
        var workers = new Workers(Enumerable.Range(0, 3).Select(_ => new GroupProcess(GlooWorker.Command, server.Server.Address.ToSecretString(), run)));
        // On a starved machine the first epochs may break: what counts is one that all three work in.
        var last = workers.All.Select(worker => worker.Next("working", Deadline).Split(' ')).ToList();
        while (last.Select(words => words[1]).Distinct().Count() > 1)
        {
            var oldest = last.IndexOf(last.MinBy(words => long.Parse(words[1], CultureInfo.InvariantCulture))!);
            last[oldest] = workers.All[oldest].Next("working", Deadline).Split(' ');
        }
        for (var i = 0; i < 3; i++) workers.All[i].Rank = int.Parse(last[i][2], CultureInfo.InvariantCulture);
        // Into the work, whose place nobody tells: what dies should die in the middle of it.
        Thread.Sleep(50);
        return workers;
    }

    private sealed class Workers(IEnumerable<GroupProcess> workers) : IDisposable
    {
        public List<GroupProcess> All { get; } = [.. workers];

        public IEnumerable<GroupProcess> Others(GroupProcess one) => All.Where(worker => worker != one);

        public GroupProcess Signal(int rank, int signal)
        {
            var worker = All.Single(worker => worker.Rank == rank);
            worker.Send(signal);
            return worker;
        }

        public void Dispose() => All.ForEach(worker => worker.Dispose());
    }
}
