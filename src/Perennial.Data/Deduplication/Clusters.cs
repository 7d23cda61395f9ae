using System.Runtime.InteropServices;
using Perennial.Data.Curation;

namespace Perennial.Data.Deduplication;

/// <summary>Groups of documents that links join (union-find). Only documents with a link take memory. The groups do not depend on the order of links.</summary>
internal sealed class Clusters
{
    private readonly Dictionary<DocumentKey, DocumentKey> parents = [];
    private readonly Dictionary<DocumentKey, float> similarities = [];

    /// <summary>Joins the groups of two documents.</summary>
    public void Link(DocumentKey one, DocumentKey other, float similarity)
    {
        Best(one, similarity);
        Best(other, similarity);
        var (a, b) = (Root(one), Root(other));
        if (a == b) return;
        // The earlier one leads.
        if (b < a) (a, b) = (b, a);
        parents[b] = a;
    }

    /// <summary>Every document of a group of at least two with its group's earliest, in corpus order.</summary>
    public IEnumerable<(DocumentKey Key, DocumentKey First)> Members() => parents.Keys.Order().ToList().Select(key => (key, Root(key)));

    /// <summary>The strongest link of a document.</summary>
    public float Similarity(DocumentKey key) => similarities[key];

    /// <summary>Takes all but one of every group away.</summary>
    /// <param name="corpus">To weigh members by length or score.</param>
    /// <param name="preference">Which one stays.</param>
    /// <param name="score">Name of the score for <see cref="DuplicatePreference.Score"/>.</param>
    /// <param name="removals">Takes those that go.</param>
    public void Reduce(ICorpus corpus, DuplicatePreference preference, string? score, Removals removals)
    {
        var best = new Dictionary<DocumentKey, (DocumentKey Key, double Value)>();
        foreach (var (key, first) in Members())
        {
            var value = preference switch
            {
                DuplicatePreference.First => 0,
                DuplicatePreference.Longest => corpus.Read(key).Text.Length,
                _ => corpus.Read(key).Scores.TryGetValue(score!, out var given) ? given : double.NegativeInfinity,
            };
            // Members come in corpus order: of equals the earliest stays.
            if (!best.TryGetValue(first, out var present) || value > present.Value) best[first] = (key, value);
        }
        foreach (var (key, first) in Members())
        {
            if (best[first].Key != key) removals.Add(key, best[first].Key, similarities[key]);
        }
        corpus.Note("clusters", best.Count);
    }

    private DocumentKey Root(DocumentKey key)
    {
        ref var parent = ref CollectionsMarshal.GetValueRefOrAddDefault(parents, key, out var exists);
        if (!exists)
        {
            parent = key;
            return key;
        }
        var root = key;
        while (parents[root] != root) root = parents[root];
        while (parents[key] != root) (parents[key], key) = (root, parents[key]);
        return root;
    }

    private void Best(DocumentKey key, float similarity)
    {
        ref var best = ref CollectionsMarshal.GetValueRefOrAddDefault(similarities, key, out _);
        best = Math.Max(best, similarity);
    }
}
