using Perennial.Resilience.Layouts;
using Perennial.Training.Parallel;

namespace Perennial.Training.Tests;

/// <summary>Which parts of a state belong together when processes meet.</summary>
public sealed class RollCallTests
{
    private static Presence Has(params IEnumerable<(long Lineage, int Place, long Step, bool IsWhole)> parts) =>
        new([.. parts.Select(part => new HeldPart(part.Lineage, new ParallelShape(2, 1, 2), [1, 2], part.Place, part.Step, part.IsWhole))], "here", 0, true);

    private static IEnumerable<(long, long, string)> States(params IReadOnlyList<Presence> present) =>
        new RollCall(present).States().Select(state => (state.Step, state.Lineage, string.Join(' ', state.Carriers())));

    [Fact]
    public void The_newest_step_comes_first_and_torn_parts_count_for_nothing()
    {
        Assert.Equal([(8, 3, "0 -1 -1 -1"), (7, 3, "-1 -1 2 -1")], States(Has((3, 0, 8, true)), Has((3, 1, 8, false)), Has((3, 2, 7, true))));
    }

    [Fact]
    public void A_change_that_broke_at_its_end_leaves_both_shapes_to_go_on_from()
    {
        Assert.Equal([(7, 4, "1 0 -1 -1"), (7, 3, "0 1 2 -1")], States(Has((3, 0, 7, true), (4, 1, 7, true)), Has((3, 1, 7, true), (4, 0, 7, true)), Has((3, 2, 7, true))));
    }

    [Fact]
    public void A_process_that_was_away_is_never_put_together_with_the_others()
    {
        // It has a part of an older lineage: of an older step it is left out, of the same one it is a state by itself.
        Assert.Equal([(9, 6, "0 1 -1 -1")], States(Has((6, 0, 9, true)), Has((6, 1, 9, true)), Has((5, 3, 4, true))));
        Assert.Equal([(9, 6, "0 1 -1 -1"), (9, 5, "-1 -1 -1 2")], States(Has((6, 0, 9, true)), Has((6, 1, 9, true)), Has((5, 3, 9, true))));
        Assert.Equal([6, 5], new RollCall([Has((5, 3, 4, false)), Has((6, 0, 9, true)), Has()]).Arrangements().Select(state => state.Lineage));
    }
}
