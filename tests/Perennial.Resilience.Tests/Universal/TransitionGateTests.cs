using Perennial.Core;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Plans;
using Perennial.Resilience.Universal;

namespace Perennial.Resilience.Tests.Universal;

/// <summary>Moves a state from one layout to another, breaks something as field reports tell it (paper 47, part 6), and asks the gate.</summary>
public class TransitionGateTests
{
    private static readonly StateLayout From = SampleState.Layout("data=2,tensor=2,zero=1"), To = SampleState.Layout("data=2,tensor=2,pipeline=2,zero=1");

    private sealed class Transfer
    {
        public StateLayout Layout { get; set; } = To;

        public Dictionary<string, FlatBytes>[] Buffers { get; init; } = SampleState.Empty(To);

        public Dictionary<string, FillLedger>[] Ledgers { get; } = [.. Enumerable.Range(0, To.Ranks).Select(_ => To.Slots.ToDictionary(slot => slot.Slot.Name, _ => new FillLedger()))];

        public ProgressRecord[] Progress { get; } = [.. Enumerable.Repeat(SampleState.Progress, To.Ranks)];

        public StateSummary Expected { get; set; } = Summary;

        public IReadOnlyList<string> Judge() => TransitionGate.Judge(Expected, Layout, [.. Enumerable.Range(0, To.Ranks).Select(rank => RankEvidence.Gather(Layout, rank, Buffers[rank], Progress[rank], Ledgers[rank]))]);

        /// <summary>Exchanges the contents of two buffers of one size.</summary>
        public static void Swap(FlatBytes left, FlatBytes right)
        {
            var kept = SampleState.Bytes(left);
            right.Slice(0, (int)right.Length).CopyTo(left.Slice(0, (int)left.Length));
            kept.CopyTo(right.Slice(0, (int)right.Length));
        }
    }

    private static readonly StateSummary Summary = StateSummary.Of(From, Evidence(From, SampleState.Fill(From)));

    private static IReadOnlyList<RankEvidence> Evidence(StateLayout layout, Dictionary<string, FlatBytes>[] buffers) =>
        [.. buffers.Select((buffer, rank) => RankEvidence.Gather(layout, rank, buffer, SampleState.Progress))];

    /// <param name="keep">Which copies are carried out.</param>
    /// <param name="plans">The layout that copies follow, where it is not the true one.</param>
    private static Transfer Run(Func<string, TransferCopy, bool>? keep = null, StateLayout? plans = null)
    {
        var transfer = new Transfer();
        var sources = SampleState.Fill(From);
        foreach (var slot in (plans ?? To).Slots)
        {
            var name = slot.Slot.Name;
            foreach (var copy in TransferPlan.Between(From.Find(name)!.Layout, slot.Layout).Copies.Where(copy => keep?.Invoke(name, copy) ?? true))
            {
                TransferRun.Copy(copy, sources[copy.Source][name], transfer.Buffers[copy.Target][name]);
                transfer.Ledgers[copy.Target][name].Note(copy);
            }
        }
        return transfer;
    }

    private static void Refused(Transfer transfer, string reason)
    {
        var faults = transfer.Judge();
        Assert.Contains(faults, fault => fault.Contains(reason, StringComparison.Ordinal));
    }

    [Fact]
    public void A_true_transfer_passes()
    {
        Assert.Empty(Run().Judge());
        TransitionGate.Require(Summary, To, [.. Enumerable.Range(0, To.Ranks).Select(rank => RankEvidence.Gather(To, rank, SampleState.Fill(To)[rank], SampleState.Progress))]);
    }

    [Fact]
    public void Every_layout_of_one_content_has_one_summary()
    {
        foreach (var shape in new[] { "data=1", "data=4,zero=1", "pipeline=2,data=2", "tensor=4", "data=4,zero=3" })
        {
            var layout = SampleState.Layout(shape, interleave: shape.Contains("zero=3", StringComparison.Ordinal));
            var other = StateSummary.Of(layout, Evidence(layout, SampleState.Fill(layout)));
            foreach (var (mine, theirs) in Summary.Slots.Zip(other.Slots)) Assert.Equal(mine.Tensors.Order(ByName), theirs.Tensors.Order(ByName));
        }
    }

    private static Comparer<KeyValuePair<string, ContentDigest>> ByName => Comparer<KeyValuePair<string, ContentDigest>>.Create((a, b) => string.CompareOrdinal(a.Key, b.Key));

    [Fact]
    public void Fused_rows_loaded_as_one_block_are_refused()
    {
        // The plan takes the fused gate and up for one matrix; shapes and sizes all fit.
        var wrong = new RuleTable([.. SampleState.Model.Rules.Rules.Select(rule => rule.Match.Contains("gate_up", StringComparison.Ordinal) ? rule with { Shard = new ShardDimension(0) } : rule)]);
        var plans = StateLayout.Build(SampleState.Model.Tensors(), wrong, To.Shape, SampleState.Slots, new LayoutOptions(8));
        Refused(Run(plans: plans), "'model.layers.0.mlp.gate_up_proj.weight' is not what was saved");
    }

    [Fact]
    public void Two_permuted_rows_are_refused()
    {
        var transfer = Run();
        // Every replica alike, and after the ledger: only the content can tell.
        var layout = To.Find("weight.bf16")!.Layout;
        var qkv = layout.IndexOf("model.layers.0.self_attn.qkv_proj.weight");
        for (var rank = 0; rank < To.Ranks; rank++)
            foreach (var run in layout.Ranks[rank].Runs.Where(run => run.Tensor == qkv).Take(1))
                SwapRows(transfer.Buffers[rank]["weight.bf16"], run.Local, 32);
        Refused(transfer, "slot 'weight.bf16': tensor 'model.layers.0.self_attn.qkv_proj.weight' is not what was saved");

        static void SwapRows(FlatBytes buffer, long at, int row)
        {
            Span<byte> first = buffer.Slice(at, row), second = buffer.Slice(at + row, row);
            var kept = first.ToArray();
            second.CopyTo(first);
            kept.CopyTo(second);
        }
    }

    [Fact]
    public void A_dropped_shard_is_refused() => Refused(Run((_, copy) => copy.Source != 3), "were never filled");

    [Fact]
    public void A_dropped_shard_that_claims_to_be_there_is_refused()
    {
        var transfer = Run();
        transfer.Buffers[2]["adam.v"].Clear();
        Refused(transfer, "slot 'adam.v': tensor");
    }

    [Fact]
    public void A_resume_that_is_a_start_from_scratch_is_refused() => Refused(Run((_, _) => false), "were never filled");

    [Fact]
    public void Shards_written_on_the_first_rank_only_are_refused() => Refused(Run((slot, copy) => slot != "adam.m" || copy.Target == 0), "rank 1, slot 'adam.m': bytes from 0 on were never filled");

    [Fact]
    public void A_range_filled_twice_is_refused()
    {
        var transfer = Run();
        transfer.Ledgers[1]["weight"].Note(8, 8);
        Refused(transfer, "rank 1, slot 'weight': bytes from 8 on were filled twice");
    }

    [Fact]
    public void Swapped_slots_are_refused_by_name()
    {
        var transfer = Run();
        foreach (var buffers in transfer.Buffers) Transfer.Swap(buffers["adam.m"], buffers["adam.v"]);
        Refused(transfer, "slot 'adam.m': tensor 'model.norm.weight' is not what was saved: it is 'model.norm.weight' of slot 'adam.v'");
    }

    [Fact]
    public void Sub_group_offsets_that_are_off_are_refused()
    {
        var transfer = Run();
        var bytes = transfer.Buffers[3]["weight"];
        bytes.Slice(0, (int)bytes.Length - 8).ToArray().CopyTo(bytes.Slice(8, (int)bytes.Length - 8));
        Refused(transfer, "slot 'weight': tensor");
    }

    [Fact]
    public void Files_taken_by_new_rank_numbers_are_refused()
    {
        var transfer = Run();
        Transfer.Swap(transfer.Buffers[0]["adam.m"], transfer.Buffers[2]["adam.m"]);
        Refused(transfer, "slot 'adam.m': tensor");
    }

    [Fact]
    public void Replicas_that_differ_are_refused_with_their_ranks()
    {
        var transfer = Run();
        transfer.Buffers[2]["weight.bf16"].Slice(0, 1)[0] ^= 1;
        Refused(transfer, "slot 'weight.bf16': tensor 'model.embed_tokens.weight' differs between its replicas on ranks 0 and 2");
    }

    [Fact]
    public void State_of_one_tensor_in_another_of_its_shape_is_refused_by_name()
    {
        // What a mix-up of parameter groups by position does.
        var from = SampleState.Fill(To);
        var layout = To.Find("adam.m")!.Layout;
        var transfer = Run();
        string first = "model.layers.0.input_layernorm.weight", second = "model.layers.0.post_attention_layernorm.weight";
        for (var rank = 0; rank < To.Ranks; rank++)
            foreach (var run in layout.Ranks[rank].Runs)
            {
                var name = layout.Tensors[run.Tensor].Name;
                if (name != first && name != second) continue;
                foreach (var place in Enumerable.Range(0, (int)run.Length)) transfer.Buffers[rank]["adam.m"].Slice(run.Local + place, 1)[0] = Other(name == first ? second : first, run.Logical + place);
            }
        Refused(transfer, $"tensor '{first}' is not what was saved: it is '{second}' of slot 'adam.m'");

        byte Other(string tensor, long offset)
        {
            for (var rank = 0; rank < To.Ranks; rank++)
                foreach (var run in layout.Ranks[rank].Runs)
                    if (layout.Tensors[run.Tensor].Name == tensor && run.Logical <= offset && offset < run.LogicalEnd) return from[rank]["adam.m"].Slice(run.Local + offset - run.Logical, 1)[0];
            throw new InvalidOperationException();
        }
    }

    [Fact]
    public void A_stale_low_precision_copy_is_refused()
    {
        // Copy and summary agree with each other, the master has moved on.
        var sources = SampleState.Fill(To);
        foreach (var buffers in sources)
            for (var at = 0; at < buffers["weight"].Length; at += 4)
                if (BitConverter.ToSingle(buffers["weight"].Slice(at, 4)) is var value and not 0) BitConverter.TryWriteBytes(buffers["weight"].Slice(at, 4), value * 1.5f);
        var evidence = Evidence(To, sources);
        var faults = TransitionGate.Judge(StateSummary.Of(To, evidence), To, evidence);
        Assert.NotEmpty(faults);
        Assert.All(faults, fault => Assert.Contains("is not 'weight' rounded to BF16: it is stale", fault, StringComparison.Ordinal));
    }

    [Fact]
    public void Padding_that_is_not_zero_is_refused()
    {
        var transfer = Run();
        // The rank with the rest of the padded vocabulary.
        var rank = Enumerable.Range(0, To.Ranks).First(rank => To.Find("weight.bf16")!.Layout.Ranks[rank] is var buffer && buffer.Held < buffer.Bytes);
        var buffer = To.Find("weight.bf16")!.Layout.Ranks[rank];
        var held = buffer.Runs.SelectMany(run => Enumerable.Range(0, (int)run.Count).SelectMany(block => Enumerable.Range((int)(run.Local + block * run.LocalStride), (int)run.Length))).ToHashSet();
        transfer.Buffers[rank]["weight.bf16"].Slice(Enumerable.Range(0, (int)buffer.Bytes).First(at => !held.Contains(at)), 1)[0] = 1;
        Refused(transfer, "is not zero");
    }

    [Fact]
    public void A_slot_without_a_source_is_refused()
    {
        var transfer = Run();
        transfer.Expected = Summary with { Slots = [.. Summary.Slots.Where(slot => slot.Slot.Name != "adam.v")] };
        Refused(transfer, "slot 'adam.v' has no source");
        transfer = Run();
        transfer.Layout = To with { Slots = [.. To.Slots.Where(slot => slot.Slot.Name != "adam.v")] };
        Refused(transfer, "slot 'adam.v' has no place");
    }

    [Fact]
    public void A_trained_parameter_without_optimizer_state_is_refused()
    {
        var frozen = new HashSet<string> { "model.norm.weight" };
        var layout = StateLayout.Build(SampleState.Model.Tensors(), SampleState.Model.Rules, ParallelShape.Single, SampleState.Slots, frozen: frozen);
        var evidence = Evidence(layout, SampleState.Fill(layout));
        Assert.Empty(TransitionGate.Judge(StateSummary.Of(layout, evidence, [.. frozen]), layout, evidence));
        Assert.Contains("slot 'adam.m': tensor 'model.norm.weight' is trained but lacks optimizer state", TransitionGate.Judge(StateSummary.Of(layout, evidence), layout, evidence));
    }

    public static TheoryData<string, ProgressRecord> Progresses
    {
        get
        {
            var good = SampleState.Progress;
            return new()
            {
                { "step 0 instead of 120", good with { Step = 0 } },
                { "counter 'adam.step' is 0 instead of 120", good with { Counters = new Dictionary<string, long> { ["adam.step"] = 0 } } },
                { "data cursor 959 instead of 960", good with { Cursor = 959 } },
                { "3999 tokens instead of 4000", good with { Tokens = 3999 } },
                { "generator key 'data' is 7 instead of 9", good with { Generators = new Dictionary<string, ulong> { ["dropout"] = 9, ["data"] = 7 } } },
                { "generator key 'dropout' is missing", good with { Generators = new Dictionary<string, ulong> { ["data"] = 9 } } },
                { "value 'schedule' is 0.26 instead of 0.25", good with { Values = new Dictionary<string, string> { ["schedule"] = "0.26" } } },
                { "value 'ema' belongs to nothing", good with { Values = new Dictionary<string, string> { ["schedule"] = "0.25", ["ema"] = "1" } } },
            };
        }
    }

    [Theory]
    [MemberData(nameof(Progresses), DisableDiscoveryEnumeration = true)]
    public void Progress_that_is_off_on_one_rank_is_refused(string reason, ProgressRecord progress)
    {
        var transfer = Run();
        transfer.Progress[5] = progress;
        Refused(transfer, "rank 5: " + reason);
    }

    [Fact]
    public void Evidence_must_come_from_every_rank_once()
    {
        var evidence = Evidence(To, SampleState.Fill(To));
        Assert.Contains("rank 7 gave no evidence", TransitionGate.Judge(Summary, To, [.. evidence.Take(7)]));
        Assert.NotEmpty(TransitionGate.Judge(Summary, To, [.. evidence, evidence[0]]));
        Assert.Equal(ExitCode.Damaged, Assert.Throws<PerennialException>(() => TransitionGate.Require(Summary, To, [])).Code);
    }

    [Fact]
    public void A_state_whose_replicas_differ_is_not_summed_up()
    {
        var buffers = SampleState.Fill(From);
        buffers[2]["weight.bf16"].Slice(0, 1)[0] ^= 1;
        Assert.Equal(ExitCode.Failed, Assert.Throws<PerennialException>(() => StateSummary.Of(From, Evidence(From, buffers))).Code);
    }

    [Fact]
    public void The_canary_has_the_tolerance_of_its_precision()
    {
        Assert.Null(new Canary("b", 3.0, false).Problem(3.00002));
        Assert.NotNull(new Canary("b", 3.0, false).Problem(3.0001));
        Assert.Null(new Canary("b", 3.0, true).Problem(3.02));
        Assert.NotNull(new Canary("b", 3.0, true).Problem(double.NaN));
    }
}
