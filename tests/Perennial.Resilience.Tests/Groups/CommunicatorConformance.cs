using CsCheck;
using Perennial.Resilience.Groups;

namespace Perennial.Resilience.Tests.Groups;

/// <summary>What every communicator must do, whatever carries it.</summary>
public abstract class CommunicatorConformance
{
    private static readonly TimeSpan Short = TimeSpan.FromMilliseconds(150);
    private int names;

    protected abstract ICommunicatorFactory Factory { get; }

    private T[] All<T>(int size, Func<ICommunicator, T> rank) => Ranks.All(Factory, $"g{Interlocked.Increment(ref names)}/", size, rank);

    private (T? Result, Exception? Error)[] Try<T>(int size, Func<ICommunicator, T> rank) => Ranks.Try(Factory, $"g{Interlocked.Increment(ref names)}/", size, rank);

    private static CommunicatorException Broken<T>((T? Result, Exception? Error) outcome) => Assert.IsType<CommunicatorException>(outcome.Error);

    // Whole numbers up to 1000 add exactly in every order, in all but bfloat16.
    private static float[] Data(int rank, int count) => [.. Enumerable.Range(0, count).Select(i => (float)((i * 7 + rank * 13) % 1000))];

    private static float[] SumOf(int size, int count, int first = 0)
    {
        var sum = new float[count];
        for (var rank = 0; rank < size; rank++)
        {
            var data = Data(first + rank, count);
            for (var i = 0; i < count; i++) sum[i] += data[i];
        }
        return sum;
    }

    [Theory]
    [InlineData(1, 5), InlineData(2, 1), InlineData(2, 70_000), InlineData(3, 0), InlineData(3, 1000), InlineData(4, 300_001)]
    public void All_reduce_sums_on_every_rank(int size, int count)
    {
        var expected = SumOf(size, count);
        foreach (var result in All(size, group =>
        {
            var data = Data(group.Rank, count);
            group.AllReduce(data.AsSpan());
            return data;
        })) Assert.Equal(expected, result);
    }

    [Fact]
    public void Reductions_hold_for_every_type_that_allows_them()
    {
        foreach (var (doubles, longs, bytes, odd) in All(3, group =>
        {
            double[] doubles = [group.Rank, -group.Rank, group.Rank == 1 ? double.NaN : 0];
            long[] longs = [1L << (20 * group.Rank), group.Rank];
            byte[] bytes = [(byte)(1 << group.Rank), 255];
            long[] odd = [group.Rank];
            group.AllReduce(doubles.AsSpan(), Reduction.Max);
            group.AllReduce(longs.AsSpan());
            group.AllReduce(bytes.AsSpan(), Reduction.Xor);
            group.AllReduce(odd.AsSpan(), Reduction.Min);
            return (doubles, longs, bytes, odd);
        }))
        {
            Assert.Equal([2, 0, double.NaN], doubles);
            Assert.Equal([1 + (1L << 20) + (1L << 40), 3], longs);
            Assert.Equal([7, 255], bytes);
            Assert.Equal([0], odd);
        }
    }

    [Fact]
    public unsafe void Brain_floats_round_to_even_and_keep_nan()
    {
        foreach (var result in All(2, group =>
        {
            // 1 + 1/256 is a tie and goes to even (1); 1 + 3/256 is a tie and goes up to 1 + 4/256; infinity - infinity is NaN.
            ushort[] data = group.Rank == 0 ? [0x3f80, 0x3f80, 0x7f80] : [0x3b80, 0x3c40, 0xff80];
            fixed (ushort* address = data) group.AllReduce((nint)address, data.Length, ElementType.BFloat16);
            return data;
        }))
        {
            Assert.Equal([0x3f80, 0x3f82], result[..2]);
            Assert.True((result[2] & 0x7f80) == 0x7f80 && (result[2] & 0x7f) != 0);
        }
    }

    [Fact]
    public void Reduce_scatter_then_all_gather_is_an_all_reduce_for_any_counts() =>
        Gen.Select(Gen.Int[1, 4], Gen.Int[0, 2000].Array[4]).Sample((size, raw) =>
        {
            var counts = raw.Take(size).Select(count => (long)count).ToArray();
            var total = (int)counts.Sum();
            var expected = SumOf(size, total);
            foreach (var result in All(size, group =>
            {
                var mine = new float[counts[group.Rank]];
                group.ReduceScatter(Data(group.Rank, total), mine.AsSpan(), counts);
                var whole = new float[total];
                group.AllGather(mine, whole.AsSpan(), counts);
                return whole;
            })) Assert.Equal(expected, result);
        }, iter: 12, threads: 1);

    [Fact]
    public void A_large_uneven_reduce_scatter_takes_several_rounds()
    {
        long[] counts = [530_000, 0, 600_003];
        var expected = SumOf(3, (int)counts.Sum());
        var parts = All(3, group =>
        {
            var mine = new float[counts[group.Rank]];
            group.ReduceScatter(Data(group.Rank, (int)counts.Sum()), mine.AsSpan(), counts);
            return mine;
        });
        Assert.True(expected.AsSpan().SequenceEqual(parts.SelectMany(part => part).ToArray()));
    }

    [Fact]
    public unsafe void All_gather_works_in_place()
    {
        foreach (var result in All(3, group =>
        {
            var whole = new long[6];
            whole[2 * group.Rank] = group.Rank + 1;
            whole[2 * group.Rank + 1] = -group.Rank;
            fixed (long* address = whole) group.AllGather((nint)(address + 2 * group.Rank), (nint)address, [2, 2, 2], ElementType.Int64);
            return whole;
        })) Assert.Equal([1, 0, 2, -1, 3, -2], result);
    }

    [Theory]
    [InlineData(0, 10), InlineData(2, 500_000)]
    public void Broadcast_copies_the_root(int root, int count)
    {
        foreach (var result in All(4, group =>
        {
            var data = Data(group.Rank, count);
            group.Broadcast(data.AsSpan(), root);
            return data;
        })) Assert.Equal(Data(root, count), result);
    }

    [Fact]
    public void Messages_arrive_in_order_and_by_tag()
    {
        var results = All(2, group =>
        {
            long[] a = [1], b = [2], c = [3];
            if (group.Rank == 0)
            {
                var other = Task.Factory.StartNew(() => group.Send<long>(c, 1, new CallOptions(Tag: 9)), TaskCreationOptions.LongRunning);
                group.Send<long>(a, 1);
                group.Send<long>(b, 1);
                other.Wait();
                return 0L;
            }
            long[] first = [0], second = [0], tagged = [0];
            group.Receive(tagged.AsSpan(), 0, new CallOptions(Tag: 9));
            group.Receive(first.AsSpan(), 0);
            group.Receive(second.AsSpan(), 0);
            return first[0] * 100 + second[0] * 10 + tagged[0];
        });
        Assert.Equal(123, results[1]);
    }

    [Fact]
    public void Calls_with_their_own_tags_run_at_once()
    {
        foreach (var results in All(3, group =>
        {
            var buffers = Enumerable.Range(0, 4).Select(tag => Data(group.Rank + tag, 50_000)).ToArray();
            // The ranks start them in different orders: only tags keep them apart.
            var calls = Enumerable.Range(0, 4).Select(i => (i + group.Rank) % 4).Select(tag =>
                Task.Factory.StartNew(() => group.AllReduce(buffers[tag].AsSpan(), options: new CallOptions((uint)tag)), TaskCreationOptions.LongRunning)).ToArray();
            Task.WaitAll(calls);
            return buffers;
        }))
            for (var tag = 0; tag < 4; tag++) Assert.Equal(SumOf(3, 50_000, tag), results[tag]);
    }

    [Fact]
    public void A_split_orders_by_key_and_leaves_out_negative_colors()
    {
        var results = All(4, group =>
        {
            using var part = group.Split(group.Rank == 3 ? -1 : group.Rank % 2, -group.Rank);
            if (part is null) return (-1, -1, 0f);
            float[] sum = [group.Rank];
            part.AllReduce(sum.AsSpan());
            return (part.Rank, part.Size, sum[0]);
        });
        Assert.Equal([(1, 2, 2f), (0, 1, 1f), (0, 2, 2f), (-1, -1, 0f)], results);
    }

    [Fact]
    public void A_barrier_holds_everyone()
    {
        var arrived = 0;
        foreach (var seen in All(3, group =>
        {
            // One after another, so that a barrier that holds nobody is seen.
            Thread.Sleep(20 * group.Rank);
            Interlocked.Increment(ref arrived);
            group.Barrier();
            return Volatile.Read(ref arrived);
        })) Assert.Equal(3, seen);
    }

    [Fact]
    public void Wrong_arguments_leave_the_group_whole()
    {
        foreach (var sum in All(2, group =>
        {
            byte[] bytes = [1];
            float[] data = [1];
            Assert.Throws<ArgumentException>(() => group.AllReduce(bytes.AsSpan()));
            Assert.Throws<ArgumentException>(() => group.AllReduce(data.AsSpan(), Reduction.Xor));
            Assert.ThrowsAny<ArgumentException>(() => group.Broadcast(data.AsSpan(), 2));
            Assert.ThrowsAny<ArgumentException>(() => group.Send<float>(data, group.Rank));
            Assert.ThrowsAny<ArgumentException>(() => group.ReduceScatter<float>(data, data, [1]));
            group.AllReduce(data.AsSpan());
            return data[0];
        })) Assert.Equal(2, sum);
    }

    [Fact]
    public void A_peer_that_does_not_come_is_a_timeout_and_breaks_the_group()
    {
        using var done = new ManualResetEventSlim();
        var outcomes = Try(2, group =>
        {
            if (group.Rank == 1)
            {
                done.Wait(Ranks.Deadline);
                return 0;
            }
            try
            {
                float[] data = new float[100_000];
                var error = Assert.Throws<CommunicatorException>(() => group.AllReduce(data.AsSpan(), options: new CallOptions(Timeout: Short)));
                Assert.Equal((CommunicatorFailure.TimedOut, 1, 1L), (error.Failure, error.Peer, error.Epoch));
                Assert.Throws<CommunicatorException>(() => group.Barrier());
            }
            finally
            {
                done.Set();
            }
            return 1;
        });
        Assert.All(outcomes, outcome => Assert.Null(outcome.Error));
    }

    [Fact]
    public void Abort_wakes_a_blocked_call_and_the_peers_lose_this_rank()
    {
        var outcomes = Try(3, group =>
        {
            if (group.Rank == 0)
            {
                using var _ = new Timer(_ => group.Abort("enough"), null, 50, Timeout.Infinite);
                group.Barrier();
            }
            // Rank 1 waits for the barrier too; rank 2 is blocked in receiving from rank 0.
            else if (group.Rank == 1) group.Barrier();
            else group.Receive(new float[10].AsSpan(), 0);
            return 0;
        });
        var own = Broken(outcomes[0]);
        Assert.Equal((CommunicatorFailure.Aborted, null), (own.Failure, own.Peer));
        Assert.Contains("enough", own.Message);
        Assert.Equal(CommunicatorFailure.PeerLost, Broken(outcomes[1]).Failure);
        var lost = Broken(outcomes[2]);
        Assert.Equal(CommunicatorFailure.PeerLost, lost.Failure);
        Assert.NotNull(lost.Peer);
        Assert.NotNull(lost.Host);
    }

    [Fact]
    public void A_cancelled_token_aborts()
    {
        var outcomes = Try(2, group =>
        {
            if (group.Rank == 1) group.Receive(new float[1].AsSpan(), 0);
            using var source = new CancellationTokenSource(50);
            group.Receive(new float[1].AsSpan(), 1, new CallOptions(Cancellation: source.Token));
            return 0;
        });
        Assert.Equal(CommunicatorFailure.Aborted, Broken(outcomes[0]).Failure);
        var lost = Broken(outcomes[1]);
        Assert.True(lost is { Failure: CommunicatorFailure.PeerLost, Peer: 0 }, lost.Message);
    }

    [Fact]
    public void A_rank_that_leaves_politely_does_not_disturb_the_others()
    {
        using var left = new ManualResetEventSlim();
        foreach (var ok in All(3, group =>
        {
            float[] data = [group.Rank];
            group.AllReduce(data.AsSpan());
            if (group.Rank == 0)
            {
                group.Dispose();
                left.Set();
                return true;
            }
            Assert.True(left.Wait(Ranks.Deadline));
            for (var i = 0; i < 20; i++)
            {
                if (group.Rank == 1) group.Send<float>(data, 2);
                else group.Receive(data.AsSpan(), 1);
            }
            return true;
        })) Assert.True(ok);
    }

    [Fact]
    public void A_dead_rank_breaks_a_call_that_does_not_wait_for_it()
    {
        using var broken = new CountdownEvent(2);
        var outcomes = Try(3, group =>
        {
            if (group.Rank == 0)
            {
                // Into the others' calls, which nothing tells from the time before them.
                Thread.Sleep(30);
                group.Abort("dies");
                broken.Wait(Ranks.Deadline);
                return 0;
            }
            try
            {
                // Ranks 1 and 2 only wait for each other, and neither comes.
                group.Receive(new float[10].AsSpan(), 3 - group.Rank);
            }
            finally
            {
                broken.Signal();
            }
            return 0;
        });
        Assert.Equal(CommunicatorFailure.PeerLost, Broken(outcomes[1]).Failure);
        Assert.Equal(CommunicatorFailure.PeerLost, Broken(outcomes[2]).Failure);
    }

    [Fact]
    public void A_missing_rank_fails_the_forming_of_a_group()
    {
        var error = Assert.Throws<CommunicatorException>(() => Factory.Create(new GroupSettings { Name = "missing/", Rank = 0, Size = 2, CreateTimeout = Short }));
        Assert.Equal((CommunicatorFailure.TimedOut, 1), (error.Failure, error.Peer));
        using var source = new CancellationTokenSource(50);
        error = Assert.Throws<CommunicatorException>(() => Factory.Create(new GroupSettings { Name = "cancelled/", Rank = 0, Size = 2 }, source.Token));
        Assert.Equal(CommunicatorFailure.Aborted, error.Failure);
    }

    [Fact]
    public void Survivors_form_a_new_group_in_the_next_epoch()
    {
        var outcomes = Try(4, group =>
        {
            if (group.Rank == 2)
            {
                group.Barrier();
                group.Abort("dies");
                return 0f;
            }
            Assert.Throws<CommunicatorException>(() =>
            {
                group.Barrier();
                for (var i = 0; i < 1_000_000; i++) group.AllReduce(new float[1000].AsSpan());
            });
            group.Dispose();
            var rank = group.Rank > 2 ? group.Rank - 1 : group.Rank;
            using var next = Factory.Create(new GroupSettings { Name = "next/", Rank = rank, Size = 3, Epoch = 2 });
            float[] data = [1];
            next.AllReduce(data.AsSpan());
            return data[0];
        });
        Assert.All(outcomes, outcome => Assert.Null(outcome.Error));
        Assert.Equal([3, 3, 0, 3], outcomes.Select(outcome => outcome.Result));
    }
}
