using CsCheck;
using Perennial.Resilience.Groups;
using Perennial.Tensors;
using Perennial.Training.Parallel;

namespace Perennial.Training.Tests;

/// <summary>Stretches of the gradient leave while others are computed.</summary>
public class GradientBucketsTests
{
    private static FlatLayout Layout(IEnumerable<int> sizes) => FlatLayout.Of(sizes.Select((size, i) => new FlatEntry($"w{i}", 0, [size], true) { Kind = EntryKind.Matrix }));

    [Fact]
    public void Buckets_cover_everything_once_from_the_end_with_vectors_last_and_keep_entries_whole() => Gen.Select(Gen.Int[1, 300].Array[1, 40], Gen.Int[0, 4000], Gen.Int[0, 40]).Sample((sizes, bytes, vectors) =>
    {
        var layout = FlatLayout.Of(sizes.Select((size, i) => new FlatEntry($"w{i}", 0, [size], true) { Kind = i + vectors >= sizes.Length ? EntryKind.Vector : EntryKind.Matrix }));
        using var buckets = new GradientBuckets(layout, bytes, _ => { });
        Assert.Equal(layout.Length, buckets.Buckets.Sum(bucket => bucket.Length));
        Assert.All(buckets.Buckets, bucket => Assert.Contains(layout.Entries, entry => entry.Offset == bucket.Start));
        var first = layout.Entries.FirstOrDefault(entry => entry.Kind == EntryKind.Vector)?.Offset ?? layout.Length;
        var kinds = buckets.Buckets.GroupBy(bucket => bucket.Start >= first).ToList();
        Assert.True(kinds.Count == 1 || !kinds[0].Key);
        foreach (var kind in kinds)
        {
            var (end, start) = kind.Key ? (layout.Length, first) : (first, 0);
            foreach (var bucket in kind)
            {
                Assert.Equal(end, bucket.End);
                Assert.True(bucket.Start == start || (bytes > 0 && bucket.Length * sizeof(float) >= bytes));
                end = bucket.Start;
            }
            Assert.Equal(start, end);
            if (bytes == 0) Assert.Single(kind);
        }
    });

    /// <summary>Ranks whose entries become whole in any order, at any time or never say so, make the same calls; the sum is right, step after step.</summary>
    [Fact]
    public void Ranks_agree_whatever_the_order_in_which_their_gradients_come() => Gen.Select(Gen.Int[1, 50].Array[1, 12], Gen.Int[1, 4], Gen.Int[0, 300], Gen.Int).Sample((sizes, size, bytes, seed) =>
    {
        var layout = Layout(sizes);
        var group = new ThreadHub();
        var results = new float[size][];
        Task.WaitAll([.. Enumerable.Range(0, size).Select(rank => Task.Factory.StartNew(() =>
        {
            var random = new Random(seed + rank);
            using var member = group.Create(new GroupSettings { Name = "buckets", Rank = rank, Size = size });
            var gradient = GC.AllocateArray<float>((int)layout.Length, pinned: true);
            using var buckets = new GradientBuckets(layout, bytes, range => member.AllReduce(gradient.AsSpan((int)range.Start, (int)range.Length)));
            for (var step = 0; step < 3; step++)
            {
                Array.Fill(gradient, float.NaN);
                var prepared = 0L;
                // A rank without rows has no backward pass.
                var hasRows = rank == 0 || random.Next(4) > 0;
                if (hasRows) buckets.Begin(range => prepared += range.Length);
                foreach (var entry in layout.Entries.OrderBy(_ => random.Next()))
                {
                    gradient.AsSpan((int)entry.Offset, (int)entry.Length).Fill(rank + step);
                    if (hasRows && random.Next(5) > 0) buckets.Written([entry]);
                }
                buckets.Flush();
                buckets.Wait();
                Assert.Equal(hasRows ? layout.Length : 0, prepared);
                results[rank] = [.. gradient];
                Assert.All(gradient, value => Assert.Equal(Enumerable.Range(0, size).Sum(other => other + step), value));
            }
        }, TaskCreationOptions.LongRunning))]);
        Assert.All(results, result => Assert.Equal(results[0], result));
    }, iter: 30, threads: 1);

    [Fact]
    public void What_is_whole_leaves_before_the_rest_and_never_out_of_turn()
    {
        var layout = Layout([10, 10, 10, 10]);
        var (leaving, gone) = (new List<long>(), new List<long>());
        using var two = new CountdownEvent(2);
        using var buckets = new GradientBuckets(layout, 40, range =>
        {
            gone.Add(range.Start);
            if (!two.IsSet) two.Signal();
        });
        buckets.Begin(range => leaving.Add(range.Start));
        buckets.Written([layout["w2"]]);
        Assert.Empty(leaving);
        buckets.Written([layout["w3"]]);
        Assert.Equal([30L, 20L], leaving);
        // They are added up while the others are not even whole.
        Assert.True(two.Wait(TimeSpan.FromMinutes(1)));
        buckets.Flush();
        buckets.Wait();
        Assert.Equal([30L, 20L, 10L, 0L], gone);
    }

    [Fact]
    public void A_lost_process_is_told_of_where_the_step_waits_and_the_next_step_begins_anew()
    {
        var layout = Layout([10, 10, 10]);
        var (calls, breaks) = (0, true);
        using var buckets = new GradientBuckets(layout, 40, _ =>
        {
            calls++;
            if (breaks) throw new CommunicatorException(CommunicatorFailure.PeerLost, "all-reduce", 1, 2, null, "gone");
        });
        buckets.Begin();
        buckets.Written([layout["w2"]]);
        buckets.Flush();
        Assert.Equal(2, Assert.Throws<CommunicatorException>(buckets.Wait).Peer);
        // The others would have waited for nobody.
        Assert.Equal(1, calls);
        breaks = false;
        buckets.Flush();
        buckets.Wait();
        Assert.Equal(4, calls);
    }
}
