using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Perennial.Data.Curation;

/// <summary>Sorts more records than fit memory: sorted runs are spilled to disk and merged. Equal records keep no order, so records should differ or be alike in every way.</summary>
/// <typeparam name="T">A plain record that compares.</typeparam>
public sealed class ExternalSorter<T> : IDisposable
    where T : unmanaged, IComparable<T>
{
    private const int MergeBuffer = 1 << 14;

    private readonly string prefix;
    private readonly int capacity;
    private readonly List<string> runs = [];
    private readonly List<T> present = [];

    /// <summary>Makes a sorter.</summary>
    /// <param name="folder">Where runs are spilled.</param>
    /// <param name="name">Name of its files there.</param>
    /// <param name="memory">Bytes of records kept in memory.</param>
    public ExternalSorter(string folder, string name, long memory)
    {
        prefix = Path.Combine(folder, name);
        capacity = (int)Math.Clamp(memory / 2 / Unsafe.SizeOf<T>(), 1024, 1 << 28);
    }

    /// <summary>Records added.</summary>
    public long Count { get; private set; }

    /// <summary>Adds a record.</summary>
    public void Add(T record)
    {
        if (present.Count == capacity) Spill();
        present.Add(record);
        Count++;
    }

    /// <summary>All records in ascending order; once, after the last was added.</summary>
    public IEnumerable<T> Sorted()
    {
        CollectionsMarshal.AsSpan(present).Sort();
        if (runs.Count == 0) return present;
        Spill();
        return Merge();
    }

    /// <summary>Removes spilled runs.</summary>
    public void Dispose()
    {
        foreach (var run in runs) File.Delete(run);
    }

    private void Spill()
    {
        if (present.Count == 0) return;
        var records = CollectionsMarshal.AsSpan(present);
        records.Sort();
        var path = $"{prefix}.{runs.Count}.run";
        using (var stream = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 16))
        {
            for (var done = 0; done < records.Length; done += 1 << 20) stream.Write(MemoryMarshal.AsBytes(records[done..Math.Min(records.Length, done + (1 << 20))]));
        }
        runs.Add(path);
        present.Clear();
    }

    private IEnumerable<T> Merge()
    {
        present.TrimExcess();
        var readers = runs.ConvertAll(path => new Run(path));
        try
        {
            var queue = new PriorityQueue<Run, T>();
            foreach (var reader in readers)
            {
                if (reader.Next()) queue.Enqueue(reader, reader.Current);
            }
            while (queue.TryDequeue(out var reader, out var record))
            {
                yield return record;
                if (reader.Next()) queue.Enqueue(reader, reader.Current);
            }
        }
        finally
        {
            foreach (var reader in readers) reader.Dispose();
        }
    }

    private sealed class Run(string path) : IDisposable
    {
        private readonly FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1);
        private readonly T[] buffer = new T[MergeBuffer];
        private int at, filled;

        public T Current => buffer[at];

        public bool Next()
        {
            if (++at < filled) return true;
            var bytes = MemoryMarshal.AsBytes(buffer.AsSpan());
            var read = stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
            (at, filled) = (0, read / Unsafe.SizeOf<T>());
            return filled > 0;
        }

        public void Dispose() => stream.Dispose();
    }
}
