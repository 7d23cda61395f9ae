using System.Collections.Concurrent;

namespace Perennial.Resilience.Groups;

/// <summary>One thread's end of a group in a <see cref="ThreadHub"/>.</summary>
public sealed unsafe class ThreadCommunicator : ICommunicator
{
    private readonly ThreadGroup group;
    private readonly TimeSpan timeout;
    private readonly int[] everyone;
    private readonly ConcurrentDictionary<(string Kind, uint Tag), long> sequences = new();
    private readonly ChildGroups children = new();

    internal ThreadCommunicator(ThreadGroup group, int rank, TimeSpan timeout)
    {
        (this.group, this.timeout, Rank) = (group, timeout, rank);
        everyone = [.. Enumerable.Range(0, group.Size)];
    }

    /// <inheritdoc/>
    public int Rank { get; }

    /// <inheritdoc/>
    public int Size => group.Size;

    /// <inheritdoc/>
    public long Epoch => group.Epoch;

    /// <inheritdoc/>
    public void AllReduce(nint data, long count, ElementType type, Reduction reduction = Reduction.Sum, CallOptions options = default)
    {
        Arguments.Reduces(type, reduction);
        var bytes = Bytes(count, type);
        Collect($"all-reduce of {count} {type} by {reduction}", options, new Post(data, 0), posts =>
        {
            var sum = Fold(posts, 0, bytes, type, reduction);
            foreach (var post in posts) sum.CopyTo(new Span<byte>((void*)post.Source, bytes));
        });
    }

    /// <inheritdoc/>
    public void ReduceScatter(nint source, nint destination, ReadOnlySpan<long> counts, ElementType type, Reduction reduction = Reduction.Sum, CallOptions options = default)
    {
        Arguments.Counts(this, counts);
        Arguments.Reduces(type, reduction);
        var sizes = counts.ToArray();
        Collect($"reduce-scatter of [{string.Join(',', sizes)}] {type} by {reduction}", options, new Post(source, destination), posts =>
        {
            var offset = 0L;
            for (var rank = 0; rank < posts.Length; rank++)
            {
                var bytes = Bytes(sizes[rank], type);
                Fold(posts, offset, bytes, type, reduction).CopyTo(new Span<byte>((void*)posts[rank].Destination, bytes));
                offset += bytes;
            }
        });
    }

    /// <inheritdoc/>
    public void AllGather(nint source, nint destination, ReadOnlySpan<long> counts, ElementType type, CallOptions options = default)
    {
        Arguments.Counts(this, counts);
        var sizes = counts.ToArray();
        Collect($"all-gather of [{string.Join(',', sizes)}] {type}", options, new Post(source, destination), posts =>
        {
            var offset = 0L;
            for (var rank = 0; rank < posts.Length; rank++)
            {
                var bytes = sizes[rank] * type.Size();
                foreach (var post in posts) Move(posts[rank].Source, (nint)(post.Destination + offset), bytes);
                offset += bytes;
            }
        });
    }

    /// <inheritdoc/>
    public void Broadcast(nint data, long count, ElementType type, int root, CallOptions options = default)
    {
        Arguments.Root(this, root);
        Collect($"broadcast of {count} {type} from {root}", options, new Post(data, 0), posts =>
        {
            foreach (var post in posts) Move(posts[root].Source, post.Source, count * type.Size());
        });
    }

    /// <inheritdoc/>
    public void Send(nint data, long count, ElementType type, int to, CallOptions options = default)
    {
        Arguments.Peer(this, to);
        Exchange(Rank, to, data, count, type, options);
    }

    /// <inheritdoc/>
    public void Receive(nint data, long count, ElementType type, int from, CallOptions options = default)
    {
        Arguments.Peer(this, from);
        Exchange(from, Rank, data, count, type, options);
    }

    /// <inheritdoc/>
    public void Barrier(CallOptions options = default) => Collect("barrier", options, new Post(0, 0), _ => { });

    /// <inheritdoc/>
    public ICommunicator? Split(int color, int key, CallOptions options = default)
    {
        var mine = Collect("split", options, new Post(color, key), posts =>
        {
            var all = posts.SelectMany(post => new long[] { post.Source, post.Destination }).ToArray();
            var groups = new Dictionary<long, ThreadGroup>();
            for (var rank = 0; rank < posts.Length; rank++)
            {
                var members = Splitting.Members(all, (int)posts[rank].Source);
                if (!groups.TryGetValue(posts[rank].Source, out var made)) groups.Add(posts[rank].Source, made = new ThreadGroup(members.Length, Epoch));
                posts[rank].Child = new ThreadCommunicator(made, Array.IndexOf(members, rank), timeout);
            }
        });
        return color < 0 ? null : children.Add(mine.Child!);
    }

    /// <inheritdoc/>
    public void Abort(string reason)
    {
        children.Abort(reason);
        group.Leave(Rank, reason);
    }

    /// <summary>Injects the death of this rank: its own calls fail, its peers lose it, and its sub-groups with it.</summary>
    public void Kill() => Abort("killed");

    /// <inheritdoc/>
    public void Dispose()
    {
        children.Dispose();
        group.Leave(Rank, "disposed", polite: true);
    }

    private static int Bytes(long count, ElementType type) => checked((int)(count * type.Size()));

    private static void Move(nint source, nint destination, long bytes)
    {
        if (source != destination) Buffer.MemoryCopy((void*)source, (void*)destination, bytes, bytes);
    }

    // In rank order, as the native reduce-scatter adds.
    private static byte[] Fold(Post[] posts, long offset, int bytes, ElementType type, Reduction reduction)
    {
        var result = new Span<byte>((void*)(posts[0].Source + offset), bytes).ToArray();
        foreach (var post in posts.AsSpan(1)) ManagedReduction.Fold(result, new ReadOnlySpan<byte>((void*)(post.Source + offset), bytes), type, reduction);
        return result;
    }

    private void Exchange(int from, int to, nint data, long count, ElementType type, CallOptions options) =>
        Meet($"{from}>{to}", [from, to], $"message of {count} {type} from rank {from} to {to}", options, new Post(data, 0), posts =>
            Move(posts[0].Source, posts[1].Source, count * type.Size()));

    // One sequence for all collectives of a tag: two ranks that call different ones meet, and learn of it.
    private Post Collect(string call, CallOptions options, Post post, Action<Post[]> complete) =>
        Meet("collective", everyone, call, options, post, complete);

    private Post Meet(string kind, int[] participants, string call, CallOptions options, Post post, Action<Post[]> complete)
    {
        using var cancelling = options.Cancellation.UnsafeRegister(static self => ((ThreadCommunicator)self!).Abort("cancelled"), this);
        var sequence = sequences.AddOrUpdate((kind, options.Tag), 1, (_, last) => last + 1);
        return group.Meet((kind, options.Tag, sequence), Rank, participants, call, post, complete, options.Timeout ?? timeout);
    }

    private sealed record Post(nint Source, nint Destination)
    {
        public ThreadCommunicator? Child { get; set; }
    }
}
