using System.Text;
using Perennial.Data.Curation;

namespace Perennial.Data.Deduplication;

/// <summary>Collects which documents go and whom they repeat, and turns that into decisions in order.</summary>
internal sealed class Removals(ICorpus corpus, long memory) : IDisposable
{
    private readonly ExternalSorter<Removal> sorter = new(corpus.Scratch, "removals", memory);

    private readonly record struct Removal(DocumentKey Key, DocumentKey Keeper, float Similarity) : IComparable<Removal>
    {
        public int CompareTo(Removal other) => Key.CompareTo(other.Key) is not 0 and var byKey ? byKey : Keeper.CompareTo(other.Keeper);
    }

    public long Count => sorter.Count;

    /// <summary>A document goes because another stays.</summary>
    public void Add(DocumentKey key, DocumentKey keeper, float similarity = 1) => sorter.Add(new Removal(key, keeper, similarity));

    /// <summary>Writes the decisions: what each removed document repeats.</summary>
    public void Write(IDecisions decisions)
    {
        var (lastKeeper, place) = ((DocumentKey?)null, "");
        DocumentKey? lastKey = null;
        foreach (var removal in sorter.Sorted())
        {
            if (removal.Key == lastKey) continue;
            lastKey = removal.Key;
            if (removal.Keeper != lastKeeper)
            {
                lastKeeper = removal.Keeper;
                place = Tally.Place(corpus.Read(removal.Keeper).Origin);
            }
            decisions.Add(removal.Key, Encoding.UTF8.GetBytes(removal.Similarity < 1 ? $"{place} ({removal.Similarity:F3})" : place));
        }
    }

    public void Dispose() => sorter.Dispose();
}
