using Perennial.Core;
using Perennial.Tensors;

namespace Perennial.Optimization.Tests;

/// <summary>What every optimizer must keep to, whichever it is.</summary>
public class ContractTests
{
    [Theory]
    [MemberData(nameof(Sample.Kinds), MemberType = typeof(Sample))]
    public void Slots_take_the_bytes_that_the_formula_says_and_belong_to_parameters(string kind)
    {
        using var parameters = Sample.Parameters();
        var spec = Sample.Spec(kind);
        using var optimizer = spec.Create(parameters);
        var cost = ((IOptimizerOptions)spec.Options!).Cost(parameters.Layout);
        Assert.Equal(cost.StateBytes, optimizer.Slots.Sum(slot => slot.Bytes));
        Assert.True(cost.MovedBytes >= 3 * sizeof(float) * parameters.Layout.Length);
        Assert.Equal(optimizer.Slots.Count, optimizer.Slots.Select(slot => slot.Name).Distinct().Count());
        foreach (var slot in optimizer.Slots)
        {
            var index = slot.Index ?? SlotIndex.Elementwise(parameters.Layout);
            Assert.Equal(slot.Values.NumberOfElements, index.Length);
            Assert.Equal([(0L, index.Length)], index.Slice(slot.Name, 0, parameters.Layout.Length));
        }
    }

    [Theory]
    [MemberData(nameof(Sample.Kinds), MemberType = typeof(Sample))]
    public void Entry_by_entry_in_any_order_is_the_same_step(string kind)
    {
        using var whole = Sample.Parameters();
        using var parts = Sample.Parameters();
        using var one = Sample.Spec(kind).Create(whole);
        using var other = (IEntryOptimizer)Sample.Spec(kind).Create(parts);
        for (var step = 1; step <= 3; step++)
        {
            Sample.Draw(whole.Gradients, step, 0.3);
            Sample.Draw(parts.Gradients, step, 0.3);
            one.Step(step, 1e-2, 0.5);
            foreach (var entry in parts.Layout.Entries.Reverse()) other.StepEntries([entry], step, 1e-2, 0.5);
        }
        Assert.Equal(Sample.Floats(whole.Values), Sample.Floats(parts.Values));
        Assert.All(one.Slots.Zip(other.Slots), pair => Assert.True(pair.First.Values.eq(pair.Second.Values).all().item<bool>()));
    }

    [Theory]
    [MemberData(nameof(Sample.Kinds), MemberType = typeof(Sample))]
    public void Work_divides_among_processes_where_the_optimizer_allows_and_every_slot_element_has_one_owner(string kind)
    {
        using var parameters = Sample.Parameters();
        using var optimizer = Sample.Spec(kind).Create(parameters);
        for (var processes = 1; processes <= 5; processes++)
        {
            var ranges = OptimizerShards.Divide(optimizer, parameters.Layout, processes);
            Assert.Equal(parameters.Layout.Length, ranges.Sum(range => range.Count));
            OptimizerShards.Require(optimizer, parameters.Layout, ranges);
            foreach (var slot in optimizer.Slots)
            {
                var common = slot.Index?.Parts.Where(part => part.Parameters == 0).Sum(part => part.Length) ?? 0;
                var owned = ranges.Sum(range => OptimizerShards.Slice(slot, parameters.Layout, range).Sum(piece => piece.Length) - common);
                Assert.Equal(slot.Values.NumberOfElements - common, owned);
            }
        }
    }

    [Theory]
    [InlineData("muon", "wide")]
    [InlineData("galore", "wide")]
    [InlineData("adafactor", "wide")]
    [InlineData("{ kind: adamw-8bit, smallest: 64 }", "large")]
    public void A_division_that_cuts_what_belongs_together_is_refused(string kind, string tensor)
    {
        using var parameters = Sample.Parameters();
        using var optimizer = Sample.Spec(kind).Create(parameters);
        var cut = parameters.Layout[tensor].Offset + 3;
        var error = Assert.Throws<PerennialException>(() => OptimizerShards.Require(optimizer, parameters.Layout, [new(0, cut), new(cut, parameters.Layout.Length - cut)]));
        Assert.Equal(ExitCode.Usage, error.Code);
        Assert.Contains($"'{tensor}'", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("muon")]
    [InlineData("soap")]
    [InlineData("fira")]
    [InlineData("adafactor")]
    public void Part_of_a_matrix_is_refused_at_the_door(string kind)
    {
        using var whole = Sample.Parameters();
        var layout = whole.Layout.Slice(0, whole.Layout["wide"].Offset + 3);
        using var parameters = new FlatParameters(layout);
        var error = Assert.Throws<PerennialException>(() => Sample.Spec(kind).Create(parameters));
        Assert.Contains("'wide'", error.Message, StringComparison.Ordinal);
        using var adam = Sample.Spec("adamw").Create(parameters);
        adam.Step(1, 1e-3, 1);
    }

    [Fact]
    public void An_element_wise_optimizer_may_be_cut_anywhere()
    {
        using var parameters = Sample.Parameters();
        using var optimizer = Sample.Spec("adamw").Create(parameters);
        OptimizerShards.Require(optimizer, parameters.Layout, [new(0, 77), new(77, parameters.Layout.Length - 77)]);
        Assert.Equal([(77L, 3L)], OptimizerShards.Slice(optimizer.Slots[0], parameters.Layout, new(77, 3)));
    }
}
