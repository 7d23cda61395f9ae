using Perennial.Resilience.Partition;

namespace Perennial.Resilience.Simulation;

/// <summary>Who lives, who is spare, who is being repaired, and which nodes stand ready to join. Rank = path · P + stage.</summary>
internal sealed class NodePool
{
    private readonly ClusterOptions options;
    private readonly PipelineShape shape;
    private readonly RandomStream random;
    private readonly bool[] dead, slow;
    private readonly int[] live, slowLive;
    private readonly Dictionary<int, int> damaged = [];
    private readonly Queue<int> vacant = new();
    private readonly List<int> ready = [];
    private readonly PriorityQueue<int, double> arrivals = new();
    private int spares, coming;

    // An arrival that is not yet meant for a rank: a repaired node.
    private const int Unassigned = -1;

    public NodePool(ClusterOptions options, PipelineShape shape, int spares, RandomStream random)
    {
        (this.options, this.shape, this.spares, this.random) = (options, shape, spares, random);
        dead = new bool[shape.Ranks];
        live = [.. Enumerable.Repeat(shape.Paths, shape.Stages)];
        slow = [.. Enumerable.Range(0, shape.Ranks).Select(_ => IsSlow())];
        slowLive = [.. Enumerable.Range(0, shape.Stages).Select(stage => Enumerable.Range(0, shape.Paths).Count(path => slow[path * shape.Stages + stage]))];
    }

    /// <summary>When the next node comes back from repair or becomes ready.</summary>
    public double NextArrival => arrivals.TryPeek(out _, out var time) ? time : double.PositiveInfinity;

    /// <summary>Whether nodes stand ready to join.</summary>
    public bool HasReady => ready.Count > 0;

    /// <summary>Whether nodes are on their way to a rank: called spares and restarted processes.</summary>
    public bool HasComing => coming > 0;

    /// <summary>Whether every stage has a live rank.</summary>
    public bool EveryStageLives => Array.TrueForAll(live, count => count > 0);

    /// <summary>Who works now.</summary>
    public Occupancy Now => Of(live, slowLive, shape.Paths - damaged.Count);

    /// <summary>Whether some nodes are slower than others.</summary>
    public bool HasSlow => options.Slow > 0;

    /// <summary>Who would work if all that are ready joined.</summary>
    public Occupancy WithReady()
    {
        if (ready.Count == 0) return Now;
        var (counts, slowCounts) = ((int[])live.Clone(), (int[])slowLive.Clone());
        foreach (var rank in ready)
        {
            counts[rank % shape.Stages]++;
            if (slow[rank]) slowCounts[rank % shape.Stages]++;
        }
        var healed = ready.GroupBy(rank => rank / shape.Stages).Count(path => damaged[path.Key] == path.Count());
        return Of(counts, slowCounts, shape.Paths - damaged.Count + healed);
    }

    /// <summary>Whether a path has lost a rank.</summary>
    public bool IsDamaged(int rank) => damaged.ContainsKey(rank / shape.Stages);

    /// <summary>Takes a rank away. A healthy node's process comes back; a broken node's place goes to a spare, or waits.</summary>
    public void Lose(int rank, double now, bool software)
    {
        if (dead[rank]) return;
        dead[rank] = true;
        live[rank % shape.Stages]--;
        if (slow[rank]) slowLive[rank % shape.Stages]--;
        damaged[rank / shape.Stages] = damaged.GetValueOrDefault(rank / shape.Stages) + 1;
        if (software)
        {
            Send(rank, now + options.RespawnSeconds);
            return;
        }
        // Another node will take the place.
        slow[rank] = IsSlow();
        arrivals.Enqueue(Unassigned, now + options.RepairHours * 3_600 * random.LogNormal(options.RepairSpread));
        if (spares > 0)
        {
            spares--;
            Send(rank, now + options.SpareStartSeconds);
        }
        else vacant.Enqueue(rank);
    }

    /// <summary>Takes the next arrival in: a ready node waits for its turn, a repaired one fills a place or becomes a spare.</summary>
    public void Arrive()
    {
        arrivals.TryDequeue(out var rank, out var now);
        if (rank != Unassigned)
        {
            coming--;
            ready.Add(rank);
        }
        else if (vacant.TryDequeue(out var place)) Send(place, now + options.SpareStartSeconds);
        else spares++;
    }

    /// <summary>All ready nodes join.</summary>
    /// <returns>Their ranks.</returns>
    public IReadOnlyList<int> Join()
    {
        IReadOnlyList<int> joined = [.. ready];
        foreach (var rank in ready)
        {
            dead[rank] = false;
            live[rank % shape.Stages]++;
            if (slow[rank]) slowLive[rank % shape.Stages]++;
            var path = rank / shape.Stages;
            if (--damaged[path] == 0) damaged.Remove(path);
        }
        ready.Clear();
        return joined;
    }

    private bool IsSlow() => HasSlow && random.Uniform() < options.Slow;

    private Occupancy Of(int[] counts, int[] slowCounts, int wholePaths) => new(
        [.. counts.Zip(slowCounts, (count, slower) => new StageRanks(count)
        {
            CapacityBytes = shape.CapacityBytes,
            Classes = slower == 0 ? null : slower == count ? [new(options.SlowSpeed, slower)] : [new(1, count - slower), new(options.SlowSpeed, slower)],
        })],
        wholePaths);

    private void Send(int rank, double seconds)
    {
        arrivals.Enqueue(rank, seconds);
        coming++;
    }
}
