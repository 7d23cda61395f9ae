using Perennial.Core;

namespace Perennial.Resilience.Layouts;

/// <summary>Where a rank stands.</summary>
/// <param name="Data">Its data-parallel index.</param>
/// <param name="Tensor">Its tensor-parallel index.</param>
/// <param name="Pipeline">Its stage.</param>
public readonly record struct RankCoordinates(int Data, int Tensor, int Pipeline);

/// <summary>
/// How many ranks work in each way. Ranks are numbered with the tensor index fastest, then data, then stage:
/// <c>rank = (stage · Data + data) · Tensor + tensor</c>, so that the ranks of one tensor group are neighbours.
/// </summary>
/// <param name="Data">Data-parallel degree.</param>
/// <param name="Tensor">Tensor-parallel degree.</param>
/// <param name="Pipeline">Stages.</param>
/// <param name="Zero">0: all state on every data rank; 1 and 2: optimizer slots cut over the data ranks; 3: weights too.</param>
public sealed record ParallelShape(int Data = 1, int Tensor = 1, int Pipeline = 1, int Zero = 0)
{
    /// <summary>One rank.</summary>
    public static ParallelShape Single { get; } = new();

    /// <summary>All ranks.</summary>
    public int Ranks => checked(Data * Tensor * Pipeline);

    /// <summary>The rank at a place.</summary>
    public int RankOf(RankCoordinates place) => (place.Pipeline * Data + place.Data) * Tensor + place.Tensor;

    /// <summary>The place of a rank.</summary>
    public RankCoordinates CoordinatesOf(int rank)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rank);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(rank, Ranks);
        return new(rank / Tensor % Data, rank % Tensor, rank / Tensor / Data);
    }

    /// <summary>The shape in words: <c>data=4,tensor=2,pipeline=1,zero=1</c>.</summary>
    public override string ToString() => $"data={Data},tensor={Tensor},pipeline={Pipeline},zero={Zero}";

    /// <summary>Refuses an impossible shape.</summary>
    /// <exception cref="PerennialException">Exit 2: a degree below 1 or an unknown ZeRO stage.</exception>
    public ParallelShape Checked() =>
        Data < 1 || Tensor < 1 || Pipeline < 1 ? throw PerennialException.Usage($"parallel: {this}: every degree must be at least 1") :
        Zero is < 0 or > 3 ? throw PerennialException.Usage($"parallel: {this}: zero is 0, 1, 2 or 3") : this;

    /// <summary>Reads <c>data=4,tensor=2,pipeline=1,zero=1</c>; what is not named is 1 (zero: 0).</summary>
    /// <exception cref="PerennialException">Exit 2: an unknown or repeated name, or no number.</exception>
    public static ParallelShape Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var shape = Single;
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var item in text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            var parts = item.Split('=', StringSplitOptions.TrimEntries);
            if (parts.Length != 2 || !int.TryParse(parts[1], out var value) || !seen.Add(parts[0])) throw Unreadable(text);
            shape = parts[0] switch
            {
                "data" => shape with { Data = value },
                "tensor" => shape with { Tensor = value },
                "pipeline" => shape with { Pipeline = value },
                "zero" => shape with { Zero = value },
                _ => throw Unreadable(text),
            };
        }
        return shape.Checked();
    }

    private static PerennialException Unreadable(string text) => PerennialException.Usage($"'{text}' is no parallel shape; write for example data=4,tensor=2,pipeline=1,zero=1");
}
