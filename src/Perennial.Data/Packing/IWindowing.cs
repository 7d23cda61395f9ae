namespace Perennial.Data.Packing;

/// <summary>How the documents of a source lie in windows. Thread-safe.</summary>
internal interface IWindowing
{
    /// <summary>Number of windows.</summary>
    long Windows { get; }

    /// <summary>Input places of all windows that hold no token of text.</summary>
    long Padding { get; }

    /// <summary>Writes one window.</summary>
    /// <param name="window">Its number.</param>
    /// <param name="inputs">Ids, <c>[time]</c>.</param>
    /// <param name="targets">Next ids, <see cref="TokenBatch.Ignored"/> where nothing is learned, <c>[time]</c>.</param>
    /// <param name="segments">Numbers of documents within the window, <c>[time]</c>; empty when nobody asks.</param>
    /// <param name="later">A window that is filled soon, whose tokens are asked for meanwhile; <paramref name="window"/> itself for none.</param>
    void Fill(long window, Span<long> inputs, Span<long> targets, Span<int> segments, long later);

    /// <summary>The documents of a window in its order, each with the tokens it has there.</summary>
    IEnumerable<(long Document, long Tokens)> Parts(long window);
}
