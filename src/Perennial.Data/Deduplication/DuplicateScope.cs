namespace Perennial.Data.Deduplication;

/// <summary>Which documents are compared with each other.</summary>
public enum DuplicateScope
{
    /// <summary>All, across sources; of several the earliest stays, so sources are listed by how much they are trusted.</summary>
    Corpus,

    /// <summary>Those of the same source.</summary>
    Source,
}

/// <summary>Which of several alike documents stays.</summary>
public enum DuplicatePreference
{
    /// <summary>The earliest in corpus order.</summary>
    First,

    /// <summary>The longest; the earliest of several.</summary>
    Longest,

    /// <summary>The one with the highest score of the name given by <c>score</c>; the earliest of several.</summary>
    Score,
}
