using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using Perennial.Resilience.Groups;
using Perennial.Tensors;

namespace Perennial.Training.Parallel;

/// <summary>
/// The gradient's way to the other processes, in buckets that leave while the backward pass goes on (Li et al. 2020, "PyTorch Distributed",
/// section 3.2). Buckets are cut by the layout alone and go one after another from the end of the buffer, where a backward pass begins, to its
/// start, vectors last: every process makes the same calls in the same order, whatever rows it has, and the sum has the same bits however its
/// threads run.
/// </summary>
/// <remarks>
/// One step: <see cref="Begin"/> before the last backward pass, <see cref="Written"/> within it, <see cref="Flush"/> when the gradient is whole,
/// <see cref="Wait"/> before anything else is said to the group. A step that breaks in between is taken up again by the next <see cref="Begin"/>
/// or <see cref="Flush"/>.
/// </remarks>
internal sealed class GradientBuckets : IDisposable
{
    private readonly Range64[] buckets;
    private readonly Dictionary<string, int> bucketOf = new(StringComparer.Ordinal);
    private readonly int[] entries, missing;
    private readonly Action<Range64> reduce;
    private readonly BlockingCollection<int> posted = [];
    private readonly Thread thread;
    private readonly object gate = new();
    private Action<Range64>? prepare;
    private ExceptionDispatchInfo? failure;
    private int next, done;
    private bool isOpen;

    /// <param name="layout">The gradient's.</param>
    /// <param name="bytes">Least size of a bucket; entries stay whole. 0 makes one of everything but vectors.</param>
    /// <param name="reduce">Adds a stretch of the buffer up over the processes; called on a thread of its own, one stretch at a time.</param>
    public GradientBuckets(FlatLayout layout, long bytes, Action<Range64> reduce)
    {
        this.reduce = reduce;
        var cut = new List<(Range64 Range, List<string> Names, bool IsVectors)>();
        foreach (var entry in layout.Entries.Reverse())
        {
            var isVector = entry.Kind == EntryKind.Vector;
            var last = cut.LastOrDefault();
            if (cut.Count > 0 && last.IsVectors == isVector && (bytes == 0 || last.Range.Length * sizeof(float) < bytes)) cut.RemoveAt(cut.Count - 1);
            else last = (new(entry.Offset + entry.Length, entry.Offset + entry.Length), [], isVector);
            last.Names.Add(entry.Name);
            cut.Add((last.Range with { Start = entry.Offset }, last.Names, isVector));
        }
        // A layout has the vectors of all layers together: the first layer's, which come last, would keep everything waiting.
        cut = [.. cut.OrderBy(bucket => bucket.IsVectors)];
        foreach (var (bucket, number) in cut.Select((bucket, number) => (bucket, number)))
            foreach (var name in bucket.Names) bucketOf.Add(name, number);
        (buckets, entries, missing) = ([.. cut.Select(bucket => bucket.Range)], [.. cut.Select(bucket => bucket.Names.Count)], new int[cut.Count]);
        thread = new Thread(Work) { Name = "gradient buckets", IsBackground = true };
        thread.Start();
    }

    /// <summary>The stretches, in the order in which they go.</summary>
    public IReadOnlyList<Range64> Buckets => buckets;

    /// <summary>The last backward pass of a step begins: what it completes may leave.</summary>
    /// <param name="prepare">Called on the caller's thread for every stretch that is whole, before it leaves; null for nothing.</param>
    public void Begin(Action<Range64>? prepare = null)
    {
        Reset();
        (this.prepare, isOpen) = (prepare, true);
    }

    /// <summary>Some entries got all of their gradient.</summary>
    public void Written(IReadOnlyList<FlatEntry> whole)
    {
        if (!isOpen) return;
        foreach (var entry in whole) missing[bucketOf[entry.Name]]--;
        while (next < buckets.Length && missing[next] == 0) Post();
    }

    /// <summary>The gradient is whole: everything that did not leave yet does.</summary>
    public void Flush()
    {
        if (!isOpen) Reset();
        while (next < buckets.Length) Post();
        (prepare, isOpen) = (null, false);
    }

    /// <summary>Returns when everything that left was added up.</summary>
    /// <exception cref="CommunicatorException">A process was lost; the gradient holds nothing of use.</exception>
    public void Wait()
    {
        Drain();
        failure?.Throw();
    }

    /// <summary>Ends the thread; a stretch that is under way must have ended or its group be gone.</summary>
    public void Dispose()
    {
        posted.CompleteAdding();
        thread.Join();
        posted.Dispose();
    }

    private void Post()
    {
        prepare?.Invoke(buckets[next]);
        posted.Add(next++);
    }

    private void Reset()
    {
        Drain();
        (next, done, failure) = (0, 0, null);
        entries.CopyTo(missing, 0);
    }

    private void Drain()
    {
        lock (gate)
        {
            while (done < next) Monitor.Wait(gate);
        }
    }

    private void Work()
    {
        foreach (var bucket in posted.GetConsumingEnumerable())
        {
            try
            {
                // One that failed broke the group: the others would wait for nobody.
                if (failure is null) reduce(buckets[bucket]);
            }
            catch (Exception error)
            {
                failure = ExceptionDispatchInfo.Capture(error);
            }
            lock (gate)
            {
                done++;
                Monitor.PulseAll(gate);
            }
        }
    }
}
