using System.Buffers;
using System.ComponentModel.DataAnnotations;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Perennial.Core;
using Perennial.Data.Curation;

namespace Perennial.Data.Deduplication;

/// <summary>Options of <see cref="SemanticDedup"/>.</summary>
public sealed record SemanticDedupOptions : IReadsFiles
{
    /// <summary>Documents whose cosine exceeds one minus this are duplicates.</summary>
    [Range(0.0, 1.0)]
    public double Epsilon { get; init; } = 0.08;

    /// <summary>Clusters; 0 means the square root of the number of documents.</summary>
    [Range(0, 1_000_000)]
    public int Clusters { get; init; }

    /// <summary>Rounds of k-means.</summary>
    [Range(1, 1000)]
    public int Rounds { get; init; } = 10;

    /// <summary>What makes the vectors: <c>lexical</c> (words, no model), <c>checkpoint</c> (a model of one's own) or <c>onnx</c> (any encoder).</summary>
    public ComponentSpec<IEmbedder> Embedder { get; init; } = new("lexical", typeof(LexicalEmbedder), new LexicalEmbedderOptions());

    /// <inheritdoc/>
    public IEnumerable<string> Files() => (Embedder.Options as IReadsFiles)?.Files() ?? [];
}

/// <summary>
/// Removes documents that mean the same (SemDeDup: Abbas et al., arXiv 2303.09540): unit vectors, k-means, and within a cluster groups of
/// documents whose cosine is above 1 − ε, of which the one farthest from the centre stays.
/// </summary>
/// <param name="options">Distance, clusters and the Embedder.</param>
[Component("semantic-dedup")]
public sealed class SemanticDedup(SemanticDedupOptions options) : ICorpusFilter
{
    private const int Sample = 20_000;

    // A model is loaded when the first document comes.
    private readonly Lazy<IEmbedder> lazy = new(() => options.Embedder.Create());

    private IEmbedder Embedder => lazy.Value;

    private readonly record struct Member(int Cluster, float Cosine, long Number, DocumentKey Key) : IComparable<Member>
    {
        // Farthest from the centre first: it stays, and what is like it goes.
        public int CompareTo(Member other) => Cluster != other.Cluster ? Cluster.CompareTo(other.Cluster) : Cosine != other.Cosine ? Cosine.CompareTo(other.Cosine) : Key.CompareTo(other.Key);
    }

    /// <inheritdoc/>
    public void Sketch(Document document, IBufferWriter<byte> sketch)
    {
        ArgumentNullException.ThrowIfNull(document);
        ArgumentNullException.ThrowIfNull(sketch);
        var bytes = sketch.GetSpan(Embedder.Width * sizeof(float))[..(Embedder.Width * sizeof(float))];
        var vector = MemoryMarshal.Cast<byte, float>(bytes);
        Embedder.Embed(document.Text.Span, vector);
        var length = MathF.Sqrt(Dot(vector, vector));
        if (length == 0) return;
        foreach (ref var component in vector) component /= length;
        sketch.Advance(bytes.Length);
    }

    /// <inheritdoc/>
    public void Decide(ICorpus corpus, IDecisions decisions)
    {
        ArgumentNullException.ThrowIfNull(corpus);
        var count = corpus.Sketches().LongCount();
        if (count == 0) return;
        var k = (int)Math.Clamp(options.Clusters > 0 ? options.Clusters : (long)Math.Sqrt(count), 1, Math.Max(1, count));
        var centres = Centres(corpus, count, k);
        var path = Path.Combine(corpus.Scratch, "vectors");
        using var members = new ExternalSorter<Member>(corpus.Scratch, "members", corpus.Memory / 4);
        using (var stream = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 18))
        {
            var number = 0L;
            foreach (var (key, sketch) in corpus.Sketches())
            {
                var (cluster, cosine) = Nearest(MemoryMarshal.Cast<byte, float>(sketch.Span), centres);
                members.Add(new Member(cluster, cosine, number++, key));
                stream.Write(sketch.Span);
            }
        }
        using var removals = new Removals(corpus, corpus.Memory / 4);
        using (var vectors = File.OpenHandle(path))
        {
            var cluster = new List<Member>();
            foreach (var member in members.Sorted())
            {
                if (cluster.Count > 0 && cluster[0].Cluster != member.Cluster)
                {
                    Reduce(corpus, cluster, vectors, removals);
                    cluster.Clear();
                }
                cluster.Add(member);
            }
            Reduce(corpus, cluster, vectors, removals);
        }
        corpus.Note("clusters", k);
        removals.Write(decisions);
    }

    /// <inheritdoc/>
    public FilterResult Apply(Document document, ReadOnlySpan<byte> decision) => FilterResult.Reject("means the same", Encoding.UTF8.GetString(decision));

    private void Reduce(ICorpus corpus, List<Member> cluster, SafeFileHandle file, Removals removals)
    {
        corpus.Cancellation.ThrowIfCancellationRequested();
        var width = Embedder.Width;
        var kept = new List<(Member Member, float[] Vector)>();
        foreach (var member in cluster)
        {
            var vector = new float[width];
            RandomAccess.Read(file, MemoryMarshal.AsBytes(vector.AsSpan()), member.Number * width * sizeof(float));
            var same = kept.FindIndex(other => Dot(other.Vector, vector) > 1 - options.Epsilon);
            if (same >= 0) removals.Add(member.Key, kept[same].Member.Key, Math.Min(0.999_999f, Dot(kept[same].Vector, vector)));
            else kept.Add((member, vector));
        }
    }

    private float[][] Centres(ICorpus corpus, long count, int k)
    {
        // Every n-th vector is enough to place the centres.
        var every = Math.Max(1, count / Math.Max(Sample, 4L * k));
        var sample = new List<float[]>();
        var number = 0L;
        foreach (var (_, sketch) in corpus.Sketches())
        {
            if (number++ % every == 0) sample.Add(MemoryMarshal.Cast<byte, float>(sketch.Span).ToArray());
        }
        var centres = Enumerable.Range(0, k).Select(i => (float[])sample[(int)((long)i * sample.Count / k)].Clone()).ToArray();
        for (var round = 0; round < options.Rounds; round++)
        {
            var nearest = new int[sample.Count];
            Parallel.For(0, sample.Count, i => nearest[i] = Nearest(sample[i], centres).Cluster);
            var next = centres.Select(_ => new float[Embedder.Width]).ToArray();
            for (var i = 0; i < sample.Count; i++)
            {
                for (var j = 0; j < Embedder.Width; j++) next[nearest[i]][j] += sample[i][j];
            }
            for (var c = 0; c < k; c++)
            {
                var length = MathF.Sqrt(Dot(next[c], next[c]));
                if (length == 0) continue;
                for (var j = 0; j < Embedder.Width; j++) centres[c][j] = next[c][j] / length;
            }
        }
        return centres;
    }

    private static (int Cluster, float Cosine) Nearest(ReadOnlySpan<float> vector, float[][] centres)
    {
        var (best, cosine) = (0, float.NegativeInfinity);
        for (var c = 0; c < centres.Length; c++)
        {
            var dot = Dot(vector, centres[c]);
            if (dot > cosine) (best, cosine) = (c, dot);
        }
        return (best, cosine);
    }

    private static float Dot(ReadOnlySpan<float> one, ReadOnlySpan<float> other)
    {
        var sum = Vector<float>.Zero;
        var at = 0;
        for (; at + Vector<float>.Count <= one.Length; at += Vector<float>.Count) sum += new Vector<float>(one[at..]) * new Vector<float>(other[at..]);
        var rest = Vector.Sum(sum);
        for (; at < one.Length; at++) rest += one[at] * other[at];
        return rest;
    }
}
