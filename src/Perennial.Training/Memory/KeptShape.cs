using System.Text.Json;
using System.Text.Json.Serialization;
using Perennial.Core;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Partition;
using Perennial.Resilience.Snapshots;

namespace Perennial.Training.Memory;

/// <summary>
/// A shape under which ranks keep their state on nodes. Managers know slices only; where all processes are lost, those that come after them learn from
/// this what the slices are of.
/// </summary>
/// <param name="Shape">The shape.</param>
/// <param name="Ends">Its cut into stages.</param>
/// <param name="Nodes">The node of every rank.</param>
/// <param name="Sizes">Of every rank the bytes of its state, and the hash of what they are.</param>
internal sealed record KeptShape(ParallelShape Shape, int[] Ends, string[] Nodes, long[] Sizes)
{
    // Several changes may come before one of them has a whole snapshot.
    private const int Most = 8;

    /// <summary>The shape and its stages.</summary>
    [JsonIgnore]
    public ShapeCut Cut => new(Shape, new StagePartition(Ends));

    /// <summary>Whether it is the same shape, with its ranks on the same nodes.</summary>
    public bool Is(ShapeCut cut, IReadOnlyList<string> nodes) => cut == Cut && Nodes.SequenceEqual(nodes);

    /// <summary>The newest step that can be had whole of it; −1 for none.</summary>
    /// <param name="held">What the managers hold.</param>
    /// <param name="parity">How nodes protect each other.</param>
    public long NewestStep(IReadOnlyDictionary<SnapshotEndpoint, IReadOnlyList<RankInventory>> held, ParityChoice parity)
    {
        var (sizes, slices) = (new PartSizes(Shape, Sizes), SnapshotSlices.Of(Nodes, parity));
        var found = FoundSnapshot.Among(held, sizes.Share * slices.All.Count, sizes.LayoutHash).FirstOrDefault(snapshot => snapshot.Tag == slices.Tag);
        return found?.Steps.Where(step => found.At(step).Step is not null).DefaultIfEmpty(-1).First() ?? -1;
    }

    /// <summary>The shapes that a file tells of, newest first; none where there is no file.</summary>
    /// <exception cref="PerennialException">Exit 3: it is damaged.</exception>
    public static IReadOnlyList<KeptShape> Read(string path)
    {
        if (!File.Exists(path)) return [];
        try
        {
            return JsonSerializer.Deserialize<KeptShape[]>(File.ReadAllBytes(path)) is { } known && known.All(IsSound) ? known : throw new JsonException("a shape lacks ranks");
        }
        catch (JsonException error)
        {
            throw PerennialException.Damaged($"{path} is not what this program wrote ({error.Message}): what was kept under other shapes cannot be found", error);
        }
    }

    /// <summary>Writes this one down before those that a file tells of. It must stand there before memory has a snapshot of it.</summary>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Write(string path)
    {
        var known = Known(path);
        if (known.Count > 0 && IsLike(known[0])) return;
        AtomicFile.WriteText(path, JsonSerializer.Serialize(known.Where(other => !IsLike(other)).Prepend(this).Take(Most)));
    }

    // What is damaged tells nothing, and is replaced.
    private static IReadOnlyList<KeptShape> Known(string path)
    {
        try
        {
            return Read(path);
        }
        catch (PerennialException)
        {
            return [];
        }
    }

    private bool IsLike(KeptShape other) => other.Is(Cut, Nodes) && other.Sizes.SequenceEqual(Sizes);

    private static bool IsSound(KeptShape kept) =>
        kept is { Shape: not null, Ends.Length: > 0, Nodes: not null, Sizes: not null } && kept.Ends.Length == kept.Shape.Pipeline && kept.Nodes.Length == kept.Shape.Ranks && kept.Sizes.Length == PartSizes.Fields * kept.Shape.Ranks;
}
