using Perennial.Core;
using Perennial.Core.Safetensors;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Plans;
using Perennial.Resilience.Universal;

namespace Perennial.Resilience.Tests.Universal;

public sealed class UniversalCheckpointTests : IDisposable
{
    private static readonly string[] Shapes = ["data=1", "data=4,zero=1", "data=2,tensor=2", "data=2,pipeline=2", "tensor=4", "data=4,zero=3"];

    private readonly string root = Directory.CreateTempSubdirectory("perennial-universal-").FullName;

    private string Folder(string name) => Directory.CreateDirectory(Path.Combine(root, name)).FullName;

    private static UniversalManifest Save(string folder, StateLayout layout, Dictionary<string, FlatBytes>[]? buffers = null, int chunk = 512)
    {
        buffers ??= SampleState.Fill(layout);
        // Ranks write in any order.
        for (var rank = layout.Ranks - 1; rank >= 0; rank--) UniversalWriter.WriteRank(folder, "run-120", layout, rank, buffers[rank], SampleState.Progress, chunk);
        return UniversalWriter.Finish(folder, "run-120", layout, canary: new Canary("positions 0-7", 3.5, true));
    }

    private static List<UniversalLoad> LoadAll(string folder, StateLayout layout)
    {
        using var checkpoint = UniversalCheckpoint.Open(folder);
        var buffers = SampleState.Empty(layout);
        var loads = buffers.Select((buffer, rank) => checkpoint.Load(layout, rank, buffer)).ToList();
        TransitionGate.Require(checkpoint.Expected(layout), layout, [.. loads.Select((load, rank) => RankEvidence.Gather(layout, rank, buffers[rank], checkpoint.Manifest.Summary.Progress, load.Ledgers))]);
        foreach (var (expected, found) in SampleState.Fill(layout).Zip(buffers))
            foreach (var slot in expected.Keys) Assert.Equal(SampleState.Bytes(expected[slot]), SampleState.Bytes(found[slot]));
        return loads;
    }

    [Fact]
    public void Every_layout_loads_what_every_layout_saved()
    {
        foreach (var from in Shapes)
        {
            var folder = Folder(from);
            Save(folder, SampleState.Layout(from));
            foreach (var to in Shapes) LoadAll(folder, SampleState.Layout(to, interleave: true));
        }
    }

    [Fact]
    public void The_writing_is_shared_and_no_byte_is_written_twice()
    {
        var layout = SampleState.Layout("data=4,tensor=2,zero=1");
        var stored = StoredLayout.Duty(layout);
        foreach (var slot in stored.Slots)
        {
            Assert.Empty(slot.Layout.Uncovered());
            Assert.Equal(slot.Layout.Tensors.Sum(tensor => tensor.Bytes), slot.Layout.Ranks.Sum(rank => rank.Bytes));
        }
        var manifest = Save(Folder("shared"), layout);
        Assert.Equal(8, manifest.Files.Count);
        // A tied embedding is written by its owner, the first stage.
        var tied = StoredLayout.Duty(SampleState.Layout("pipeline=2"));
        Assert.DoesNotContain(tied.Slots[0].Layout.Ranks[1].Runs, run => tied.Slots[0].Layout.Tensors[run.Tensor].Name == "model.embed_tokens.weight");
    }

    [Fact]
    public void Large_replicated_weights_are_written_in_equal_shares()
    {
        LogicalTensor[] tensors = [new("layers.0.big", [4096, 1024], 4), new("layers.0.small", [300, 1024], 4)];
        var live = StateLayout.Build(tensors, new RuleTable([new("layers.{layer}.*", new Replicate())]), new(5), [new("weight", SlotRole.Weight)]);
        var bytes = StoredLayout.Duty(live).Slots[0].Layout.Ranks.Select(rank => rank.Bytes).ToList();
        Assert.True(bytes.Max() - bytes.Min() < 0.01 * bytes.Average(), string.Join(", ", bytes));
    }

    [Fact]
    public void A_rank_reads_only_the_chunks_it_needs()
    {
        var folder = Folder("ranges");
        var layout = SampleState.Layout("data=4,zero=1");
        Save(folder, layout, chunk: 64);
        var whole = SampleState.Layout("data=1").BytesOf(0);
        using var checkpoint = UniversalCheckpoint.Open(folder);
        var alone = checkpoint.Load(SampleState.Layout("data=8,zero=3"), 3, SampleState.Empty(SampleState.Layout("data=8,zero=3"))[3]);
        // Eight ranks, so an eighth of the state; a chunk more at each end of the few stretches it is read from.
        Assert.InRange(alone.BytesNeeded, whole / 9, whole / 7);
        Assert.InRange(alone.BytesRead, alone.BytesNeeded, alone.BytesNeeded + 64 * 2 * 4 * 4);
        // What the same rank touches again is not read again.
        Assert.Equal(0, checkpoint.Load(SampleState.Layout("data=8,zero=3"), 3, SampleState.Empty(SampleState.Layout("data=8,zero=3"))[3]).BytesRead);
        Assert.Equal(checkpoint.Manifest.Stored.Slots.Sum(slot => slot.Layout.Ranks.Sum(rank => rank.Bytes)), checkpoint.Verify());
    }

    [Fact]
    public void A_flipped_byte_is_told_with_its_place_and_hurts_only_those_who_need_it()
    {
        var folder = Folder("flipped");
        var manifest = Save(folder, SampleState.Layout("data=4,zero=3"), chunk: 64);
        var path = Path.Combine(folder, manifest.Files[2].Name);
        long at;
        using (var file = SafetensorsFile.Open(path)) at = new FileInfo(path).Length - file.Header.DataLength + file["adam.m"].Offset + 70;
        var bytes = File.ReadAllBytes(path);
        bytes[at] ^= 4;
        File.WriteAllBytes(path, bytes);
        using var checkpoint = UniversalCheckpoint.Open(folder);
        var layout = SampleState.Layout("data=4,zero=3");
        checkpoint.Load(layout, 1, SampleState.Empty(layout)[1]);
        var damage = Assert.Throws<PerennialException>(() => checkpoint.Load(layout, 2, SampleState.Empty(layout)[2]));
        Assert.Equal(ExitCode.Damaged, damage.Code);
        Assert.Contains("rank-0002.safetensors: slot 'adam.m', bytes 64 to 128", damage.Message, StringComparison.Ordinal);
        Assert.Throws<PerennialException>(() => checkpoint.Verify());
    }

    [Fact]
    public void One_file_a_tensor_and_back_again()
    {
        string saved = Folder("saved"), atoms = Folder("atoms"), back = Folder("back");
        Save(saved, SampleState.Layout("data=2,tensor=2,zero=1"));
        using (var source = UniversalCheckpoint.Open(saved)) UniversalConverter.Consolidate(source, atoms);
        LoadAll(atoms, SampleState.Layout("tensor=4"));
        using (var first = SafetensorsFile.Open(Path.Combine(atoms, "tensor-0000.safetensors")))
        {
            Assert.Equal([37L, 16L], first["adam.v"].Shape);
            Assert.Equal(SafetensorsType.BF16, first["weight.bf16"].Type);
        }
        using (var source = UniversalCheckpoint.Open(atoms)) UniversalConverter.Reshard(source, back, SampleState.Layout("data=2,tensor=2,zero=1"));
        LoadAll(back, SampleState.Layout("data=2,tensor=2,zero=1"));
        // The files are those that the ranks themselves wrote.
        foreach (var file in Directory.GetFiles(saved, "*.safetensors")) Assert.Equal(File.ReadAllBytes(file), File.ReadAllBytes(Path.Combine(back, Path.GetFileName(file))));
    }

    [Fact]
    public void A_save_is_not_finished_from_foreign_or_missing_or_quarrelling_parts()
    {
        var layout = SampleState.Layout("data=2");
        var buffers = SampleState.Fill(layout);
        void Fails(string name, string reason, Action<string> write)
        {
            var folder = Folder(name);
            write(folder);
            var failure = Assert.Throws<PerennialException>(() => UniversalWriter.Finish(folder, "run-120", layout));
            Assert.Equal(ExitCode.Failed, failure.Code);
            Assert.Contains(reason, failure.Message, StringComparison.Ordinal);
            Assert.Throws<PerennialException>(() => UniversalCheckpoint.Open(folder));
        }
        void Write(string folder, int rank, string save = "run-120", ProgressRecord? progress = null) => UniversalWriter.WriteRank(folder, save, layout, rank, buffers[rank], progress ?? SampleState.Progress);
        Fails("missing", "rank 1 has not written", folder => Write(folder, 0));
        Fails("foreign", "belongs to save 'run-119'", folder => { Write(folder, 0); Write(folder, 1, "run-119"); });
        Fails("step", "step 119 instead of 120", folder => { Write(folder, 0); Write(folder, 1, progress: SampleState.Progress with { Step = 119 }); });
        buffers[1]["adam.m"].Slice(4, 1)[0] ^= 1;
        Fails("replicas", "differs between its replicas on ranks 0 and 1", folder => { Write(folder, 0); Write(folder, 1); });
    }

    [Fact]
    public void Damaged_manifests_and_mixed_files_are_refused()
    {
        var layout = SampleState.Layout("data=2,zero=3");
        string folder = Folder("damaged"), other = Folder("other");
        Save(folder, layout);
        for (var rank = 0; rank < 2; rank++) UniversalWriter.WriteRank(other, "run-130", layout, rank, SampleState.Fill(layout)[rank], SampleState.Progress);
        File.Copy(Path.Combine(other, "rank-0001.safetensors"), Path.Combine(folder, "rank-0001.safetensors"), overwrite: true);
        Assert.Contains("belongs to save 'run-130'", Assert.Throws<PerennialException>(() => LoadAll(folder, layout)).Message, StringComparison.Ordinal);
        var path = Path.Combine(folder, UniversalManifest.FileName);
        var good = File.ReadAllText(path);
        foreach (var bad in new[] { good[..^20], good.Replace("\"format\":1", "\"format\":9", StringComparison.Ordinal), good.Replace("\"save\"", "\"seve\"", StringComparison.Ordinal), good.Replace("rank-0001.s", "../0001.s", StringComparison.Ordinal), "null" })
        {
            File.WriteAllText(path, bad);
            Assert.Equal(ExitCode.Damaged, Assert.Throws<PerennialException>(() => UniversalCheckpoint.Open(folder)).Code);
        }
    }

    [Fact]
    public void Averaged_values_come_back_as_they_were_or_as_their_mean()
    {
        LogicalTensor[] tensors = [new("layers.0.norm", [6], 4), new("layers.0.w", [4, 6], 4)];
        var rules = new RuleTable([new("layers.{layer}.norm", new Replicate(), Replicas: Replicas.Average), new("layers.{layer}.w", new ShardDimension(1))]);
        StateLayout At(string shape) => StateLayout.Build(tensors, rules, ParallelShape.Parse(shape), [new("weight", SlotRole.Weight)], new LayoutOptions(8));
        // The matrix is written once, the norm by both ranks: the files are laid out unlike the memory.
        var two = At("data=2");
        var folder = Folder("averaged");
        var values = Enumerable.Range(0, 2).Select(rank => Enumerable.Range(0, 30).Select(i => i < 6 ? i + 10f * rank : i).ToArray()).ToList();
        for (var rank = 0; rank < 2; rank++)
            UniversalWriter.WriteRank(folder, "a", two, rank, new Dictionary<string, FlatBytes> { ["weight"] = FlatBytes.Of(System.Runtime.InteropServices.MemoryMarshal.AsBytes<float>(values[rank]).ToArray()) }, SampleState.Progress);
        UniversalWriter.Finish(folder, "a", two);
        float[][] Load(StateLayout layout, string? from = null)
        {
            using var checkpoint = UniversalCheckpoint.Open(from ?? folder);
            var buffers = SampleState.Empty(layout);
            var loads = buffers.Select((buffer, rank) => checkpoint.Load(layout, rank, buffer)).ToList();
            TransitionGate.Require(checkpoint.Expected(layout), layout, [.. loads.Select((load, rank) => RankEvidence.Gather(layout, rank, buffers[rank], SampleState.Progress, load.Ledgers))]);
            // One rank's own value under the old layout, or a wrong mean under a new one, does not pass.
            buffers[0]["weight"].Slice(1, 1)[0] ^= 1;
            Assert.Throws<PerennialException>(() => TransitionGate.Require(checkpoint.Expected(layout), layout, [.. buffers.Select((buffer, rank) => RankEvidence.Gather(layout, rank, buffer, SampleState.Progress))]));
            buffers[0]["weight"].Slice(1, 1)[0] ^= 1;
            return [.. buffers.Select(buffer => System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(SampleState.Bytes(buffer["weight"])).ToArray())];
        }
        Assert.Equal(values, Load(two));
        foreach (var rank in Load(At("data=2,tensor=3,zero=0"))) Assert.Equal([5f, 6f, 7f, 8f, 9f, 10f], rank[..6]);
        var atoms = Folder("averaged-atoms");
        using (var checkpoint = UniversalCheckpoint.Open(folder)) UniversalConverter.Consolidate(checkpoint, atoms);
        Assert.Equal([5f, 6f, 7f, 8f, 9f, 10f], Load(two, atoms)[1][..6]);
    }

    public void Dispose() => Directory.Delete(root, recursive: true);
}
