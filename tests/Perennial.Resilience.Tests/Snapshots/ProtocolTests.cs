using System.Net.Sockets;
using Perennial.Core;
using Perennial.Resilience.Snapshots;

namespace Perennial.Resilience.Tests.Snapshots;

public sealed class ProtocolTests
{
    private static RefusalReason Refused(Action action) => Assert.Throws<SnapshotRefusedException>(action).Reason;

    [Fact]
    public unsafe void The_header_has_the_layout_of_the_paper()
    {
        var bytes = stackalloc byte[RankHeader.Size];
        var header = new RankHeader(bytes)
        {
            Magic = RankHeader.MagicValue, Version = 1, Rank = 2, RunId = new Guid("00112233-4455-6677-8899-aabbccddeeff"), Epoch = 3, LayoutHash = 4, SlotBytes = 5, TrainerPid = 6, Flags = 7, Heartbeat = 8,
        };
        Assert.Equal(RankHeader.MagicValue, *(ulong*)bytes);
        Assert.Equal((1u, 2u), (*(uint*)(bytes + 8), *(uint*)(bytes + 12)));
        Assert.Equal(header.RunId, new Guid(new ReadOnlySpan<byte>(bytes + 16, 16)));
        Assert.Equal((3ul, 4ul, 5ul), (*(ulong*)(bytes + 32), *(ulong*)(bytes + 40), *(ulong*)(bytes + 48)));
        Assert.Equal((6u, 7u, 8ul), (*(uint*)(bytes + 56), *(uint*)(bytes + 60), *(ulong*)(bytes + 64)));
        for (var j = 0; j < 4; j++)
        {
            var slot = header.Slot(j);
            (slot.State, slot.Step, slot.BytesWritten, slot.Hash) = (SlotState.Prepared, 10 + j, 20, new UInt128(1, 2));
            (slot.BucketSize, slot.BucketCount, slot.FirstBucketHash, slot.WallClock) = (30, 40, 50, 60);
            var at = bytes + 128 + 128 * j;
            Assert.Equal(2u, *(uint*)at);
            long[] words = [10 + j, 20, 1, 2, 30, 40, 50, 60];
            for (var word = 0; word < words.Length; word++) Assert.Equal(words[word], *(long*)(at + 8 + 8 * word));
        }
    }

    [Fact]
    public void A_newer_epoch_fences_the_older_trainer_and_its_late_writes_hit_nothing()
    {
        using var cluster = Cluster.Started(1, 0);
        cluster.TakeAndCommit(1);
        using var fenced = new ManualResetEventSlim();
        using var old = SnapshotAgent.Attach(cluster.Shape.AgentOptions(0, 2) with { OnBucket = (_, _) => fenced.Wait(ClusterShape.Patience) });
        using var state = new RankState(cluster.Shape.Bytes);
        Assert.True(old.Offer(2, [state.Range]).Started);
        cluster.Epoch = 3;
        cluster.Attach(0); // while the older one is copying
        fenced.Set();
        cluster.TakeAndCommit(2);
        old.WaitCopied();
        Assert.Equal(RefusalReason.Fenced, Refused(() => old.Offer(3, [state.Range])));
        Assert.Equal(RestoreSource.OwnMemory, cluster.RestoreAndCheck(0, 2).Source);
        using var client = cluster.Client(0);
        Assert.Equal(RefusalReason.Fenced, Refused(() => client.Commit(0, 2, 2)));
        Assert.Equal(RefusalReason.Fenced, Refused(() => client.Abort(0, 2, 2, onlyUnprepared: false)));
    }

    [Fact]
    public void A_second_trainer_of_the_same_epoch_is_refused_while_the_first_lives()
    {
        using var cluster = Cluster.Started(1, 0);
        var error = Assert.Throws<PerennialException>(() => SnapshotAgent.Attach(cluster.Shape.AgentOptions(0, 1) with { AttachPatience = TimeSpan.FromMilliseconds(50) }));
        Assert.Contains("has a living trainer", error.Message, StringComparison.Ordinal);
        cluster.KillTrainer(0);
        cluster.Attach(0); // waits until the manager has seen the first one go
    }

    [Fact]
    public void A_silent_trainer_loses_its_lease_and_its_unfinished_step()
    {
        var time = new ManualTime();
        using var cluster = new Cluster(1, 0);
        cluster.StartHost(0, options => options with { Time = time, Lease = TimeSpan.FromSeconds(5) });
        using var first = cluster.Client(0);
        first.Hello(new(cluster.Shape.Identity(0), 1, 1, null, null));
        first.Begin(new(0, 1, 1), 0, ClusterShape.Bucket);
        time.Advance(TimeSpan.FromSeconds(4.9));
        using var second = cluster.Client(0);
        Assert.Equal(RefusalReason.Busy, Refused(() => second.Hello(new(cluster.Shape.Identity(0), 1, 1, null, null))));
        time.Advance(TimeSpan.FromSeconds(0.2));
        second.Hello(new(cluster.Shape.Identity(0), 1, 1, null, null));
        Assert.Equal(RefusalReason.Fenced, Refused(() => first.Bucket(new(0, 1, 1), 0, 0)));
        Assert.Equal(1, second.Inventory()[0].LastAborted);
    }

    [Fact]
    public void The_order_of_states_is_kept()
    {
        using var cluster = Cluster.Started(1, 0);
        cluster.KillTrainer(0);
        using var client = cluster.Client(0);
        client.Hello(new(cluster.Shape.Identity(0), 2, 1, null, null));
        var one = new StepMessage(0, 2, 1);
        Assert.Equal(RefusalReason.NotFound, Refused(() => client.Prepared(one)));
        Assert.Equal(RefusalReason.Invalid, Refused(() => client.Begin(one, 2, ClusterShape.Bucket)));
        Assert.Equal(RefusalReason.Invalid, Refused(() => client.Begin(one, 0, 1000)));
        client.Begin(one, 0, ClusterShape.Bucket);
        Assert.Equal(RefusalReason.Busy, Refused(() => client.Begin(new(0, 2, 2), 1, ClusterShape.Bucket)));
        Assert.Equal(RefusalReason.Invalid, Refused(() => client.Prepared(one))); // buckets are missing
        Assert.Equal(RefusalReason.NotFound, Refused(() => client.Commit(0, 2, 1)));
        var zeros = System.IO.Hashing.XxHash128.HashToUInt128(new byte[ClusterShape.Bucket]);
        var identity = cluster.Shape.Identity(0);
        for (var index = 0; index * ClusterShape.Bucket < identity.DataCapacity; index++)
            client.Bucket(one, index, System.IO.Hashing.XxHash128.HashToUInt128(new byte[Math.Min(ClusterShape.Bucket, identity.DataCapacity - index * ClusterShape.Bucket)]));
        Assert.Equal(RefusalReason.Invalid, Refused(() => client.Bucket(one, 99, zeros)));
        client.Prepared(one);
        Assert.Equal(RefusalReason.Busy, Refused(() => client.Begin(new(0, 2, 2), 1, ClusterShape.Bucket))); // not committed
        Assert.Equal(RefusalReason.Busy, Refused(() => client.Abort(0, 2, 1, onlyUnprepared: true)));
        client.Commit(0, 2, 1);
        client.Commit(0, 2, 1);
        Assert.Equal(RefusalReason.Invalid, Refused(() => client.Begin(new(0, 2, 2), 0, ClusterShape.Bucket))); // the newest step's slot
        Assert.Equal(RefusalReason.Invalid, Refused(() => client.Begin(new(0, 2, 1), 1, ClusterShape.Bucket))); // not newer
        client.Abort(0, 2, 2, onlyUnprepared: true);
        Assert.Equal(RefusalReason.Invalid, Refused(() => client.Begin(new(0, 2, 2), 1, ClusterShape.Bucket))); // given up
        client.Begin(new(0, 2, 3), 1, ClusterShape.Bucket);
        Assert.Equal(RefusalReason.NotFound, Refused(() => client.Commit(5, 2, 1)));
    }

    [Fact]
    public void Two_coordinators_never_decide_differently()
    {
        using var cluster = Cluster.Started(2, 1);
        cluster.TakeAndCommit(1);
        cluster.Take(0, 2);
        using var hasty = cluster.Shape.Coordinator(1);
        Assert.Equal(CommitOutcome.Aborted, hasty.Commit(2, TimeSpan.Zero).Outcome);
        Assert.Contains("not newer", cluster.Take(1, 2).Reason, StringComparison.Ordinal);
        using var patient = cluster.Shape.Coordinator(1);
        Assert.Equal(CommitOutcome.Aborted, patient.Commit(2, TimeSpan.Zero).Outcome);
        cluster.TakeAndCommit(3);
        using var late = cluster.Shape.Coordinator(1);
        Assert.Equal(CommitOutcome.Committed, late.Commit(3, TimeSpan.Zero).Outcome);
    }

    [Fact]
    public void With_lag_the_parity_comes_one_step_later()
    {
        using var cluster = Cluster.Started(2, 1, lag: 1);
        for (var rank = 0; rank < 2; rank++) Assert.True(cluster.Take(rank, 1).Started);
        using (var coordinator = cluster.Shape.Coordinator(1)) Assert.DoesNotContain(coordinator.Gather(), rank => rank.Has(1));
        for (var rank = 0; rank < 2; rank++) Assert.Contains("step 1 is not committed", cluster.Take(rank, 2).Reason, StringComparison.Ordinal);
        cluster.Commit(1);
        Assert.Equal(1, cluster.Agent(0).CommittedStep);
        for (var rank = 0; rank < 2; rank++) Assert.True(cluster.Take(rank, 3).Started);
        for (var rank = 0; rank < 2; rank++) cluster.Agent(rank).EncodeLate();
        cluster.Commit(3);
    }

    [Fact]
    public void A_slot_that_is_read_is_not_overwritten()
    {
        using var cluster = new Cluster(1, 0);
        var host = cluster.StartHost(0);
        cluster.Attach(0);
        cluster.TakeAndCommit(1);
        using (host.Store(0).Pin(SlotKind.Data, 1))
        {
            cluster.TakeAndCommit(2);
            Assert.Contains("is being read", cluster.Take(0, 3).Reason, StringComparison.Ordinal);
        }
        cluster.TakeAndCommit(4);
    }

    [Fact]
    public void Memory_of_another_run_is_never_used_and_its_clients_are_refused()
    {
        using var cluster = Cluster.Started(1, 0);
        cluster.TakeAndCommit(1);
        Assert.Equal(RefusalReason.Invalid, Refused(() => SnapshotClient.Connect(cluster.Shape.Endpoint(0), Guid.NewGuid(), ClusterShape.Patience)));
        cluster.KillTrainer(0);
        cluster.KillHost(0);
        cluster.StartHost(0, options => options with { RunId = Guid.NewGuid() });
        Assert.False(File.Exists(SharedSlot.HeadPath(cluster.Shape.Folder(0), 0)));
    }

    [Fact]
    public void Another_layout_starts_from_nothing_and_too_little_memory_is_said_at_the_start()
    {
        using var cluster = Cluster.Started(1, 0);
        cluster.TakeAndCommit(1);
        cluster.Epoch = 2;
        cluster.Attach(0, options => options with { Identity = options.Identity with { LayoutHash = 8 } });
        Assert.Equal(-1, cluster.Agent(0).CommittedStep);
        var error = Assert.Throws<PerennialException>(() => SnapshotAgent.Attach(cluster.Shape.AgentOptions(9, 1) with { Manager = cluster.Shape.Endpoint(0), Identity = cluster.Shape.Identity(9) with { Bytes = 1L << 50 } }));
        Assert.Equal(ExitCode.Missing, error.Code);
        Assert.Contains("MiB free", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Retiring_frees_the_memory_and_nonsense_ends_only_its_own_connection()
    {
        using var cluster = Cluster.Started(1, 0);
        using (var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            socket.Connect(new UnixDomainSocketEndPoint(cluster.Shape.Endpoint(0).Host));
            socket.Send([255, 255, 255, 255, 9, 9, 9]);
            Assert.True(Closed(socket));
        }
        cluster.TakeAndCommit(1);
        using var client = cluster.Client(0);
        client.Retire(0);
        Assert.Empty(client.Inventory());
        Assert.Empty(Directory.GetFiles(cluster.Shape.Folder(0)));

        static bool Closed(Socket socket)
        {
            try
            {
                return socket.Receive(new byte[10]) == 0;
            }
            catch (SocketException)
            {
                return true; // reset: what was sent had not been read to its end
            }
        }
    }

    [Fact]
    public async Task A_manager_runs_until_it_is_retired_and_an_idle_one_retires_itself()
    {
        using var cluster = new Cluster(1, 0);
        var options = Cluster.HostOptions(cluster.Shape.RunId, cluster.Shape.Folder(0), cluster.Shape.Endpoint(0).Host);
        var running = SnapshotHost.RunAsync(options, TestContext.Current.CancellationToken);
        using (var client = cluster.Client(0)) client.Retire(-1);
        await running.WaitAsync(ClusterShape.Patience, TestContext.Current.CancellationToken);
        Assert.False(Directory.Exists(cluster.Shape.Folder(0)));
        await SnapshotHost.RunAsync(options with { Idle = TimeSpan.FromMilliseconds(1), Lease = TimeSpan.FromMilliseconds(100) }, TestContext.Current.CancellationToken)
            .WaitAsync(ClusterShape.Patience, TestContext.Current.CancellationToken);
        Assert.False(Directory.Exists(cluster.Shape.Folder(0)));
    }

    [Fact]
    public void Managers_reach_each_other_over_tcp()
    {
        using var cluster = new Cluster(2, 1);
        var endpoints = Enumerable.Range(0, 2).Select(rank => cluster.StartHost(rank, options => options with { PeerEndpoint = SnapshotEndpoint.Parse("tcp:127.0.0.1:0") }).PeerEndpoint).ToList();
        var members = cluster.Shape.Members! with { Managers = endpoints };
        for (var rank = 0; rank < 2; rank++) cluster.Attach(rank, options => options with { Group = members });
        cluster.TakeAndCommit(1);
        cluster.KillNode(1);
        using var destination = new RankState(cluster.Shape.Bytes);
        var restore = new SnapshotRestore(cluster.Shape.Identity(1), cluster.Shape.Group, new Dictionary<int, SnapshotEndpoint> { [0] = endpoints[0] }, ClusterShape.Patience);
        Assert.Equal(RestoreSource.Parity, restore.Run(1, null, destination.Range.Address).Source);
        Assert.True(destination.Span.SequenceEqual(RankState.Truth(1, 1, cluster.Shape.Bytes)));
    }

    [Theory]
    [InlineData("unix:/a/b.sock", "/a/b.sock", -1)]
    [InlineData("tcp:host.example:80", "host.example", 80)]
    public void Addresses_have_a_text_form(string text, string host, int port)
    {
        Assert.Equal(new(host, port), SnapshotEndpoint.Parse(text));
        Assert.Equal(text, SnapshotEndpoint.Parse(text).ToString());
        Assert.Equal(ExitCode.Usage, Assert.Throws<PerennialException>(() => SnapshotEndpoint.Parse(text[1..])).Code);
    }

    private sealed class ManualTime : TimeProvider
    {
        private long now = 1_000_000;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Volatile.Read(ref now);

        public void Advance(TimeSpan span) => Interlocked.Add(ref now, span.Ticks);
    }
}
