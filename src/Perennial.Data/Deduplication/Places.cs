using Perennial.Data.Curation;

namespace Perennial.Data.Deduplication;

/// <summary>A unit of a document (a word, a sentence, a line), by its number in it; in order of documents.</summary>
internal readonly record struct Place(DocumentKey Key, int Unit) : IComparable<Place>
{
    public int CompareTo(Place other) => Key != other.Key ? Key.CompareTo(other.Key) : Unit.CompareTo(other.Unit);
}

/// <summary>Where content of a hash stands: equal content comes together, the earliest first.</summary>
internal readonly record struct HashedPlace(ulong Hash, DocumentKey Key, int Unit) : IComparable<HashedPlace>
{
    public int CompareTo(HashedPlace other) => Hash != other.Hash ? Hash.CompareTo(other.Hash) : Key != other.Key ? Key.CompareTo(other.Key) : Unit.CompareTo(other.Unit);
}
