namespace Perennial.Models;

/// <summary>Sizes of one attention call. Queries, keys and values of a token lie side by side: <c>[batch, time, (heads + 2·keyHeads) · headWidth]</c>.</summary>
/// <param name="Batch">Sequences.</param>
/// <param name="Time">Tokens of a sequence.</param>
/// <param name="Heads">Query heads.</param>
/// <param name="KeyHeads">Key and value heads; divides <paramref name="Heads"/>.</param>
/// <param name="HeadWidth">Width of a head; a multiple of 16.</param>
internal readonly record struct AttentionShape(int Batch, int Time, int Heads, int KeyHeads, int HeadWidth)
{
    /// <summary>Elements of one token's queries, keys and values.</summary>
    public int Stride => (Heads + 2 * KeyHeads) * HeadWidth;

    /// <summary>Query heads that share one key head.</summary>
    public int Group => Heads / KeyHeads;

    /// <summary>Time rounded up to whole tiles of rows and of columns.</summary>
    public int PaddedTime => (Time + Unit - 1) / Unit * Unit;

    /// <summary>The least common multiple of a tile's rows and columns; also the number of queries worked on at once.</summary>
    public const int Unit = 48;
}
