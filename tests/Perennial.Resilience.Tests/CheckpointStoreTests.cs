using CsCheck;
using Perennial.Core;

namespace Perennial.Resilience.Tests;

public sealed class CheckpointStoreTests : IDisposable
{
    private readonly string root = Directory.CreateTempSubdirectory("perennial-store-").FullName;

    private CheckpointStore Store => new(Path.Combine(root, "checkpoints"));

    private static void Fill(string folder)
    {
        AtomicFile.WriteText(Path.Combine(folder, "a.txt"), "hello");
        Directory.CreateDirectory(Path.Combine(folder, "state"));
        AtomicFile.WriteText(Path.Combine(folder, "state", "b.txt"), folder);
    }

    [Fact]
    public void The_newest_k_stay_and_the_newest_whole_one_is_found() =>
        Gen.Select(Gen.Int[1, 4], Gen.Int[1, 30].Array[1, 8]).Sample((keep, raw) =>
        {
            var folder = Path.Combine(root, Guid.NewGuid().ToString("N"));
            var store = new CheckpointStore(folder);
            var steps = raw.Distinct().Order().ToList();
            foreach (var step in steps) store.Write(step, Fill, keep);
            Assert.Equal(steps.Select(step => (long)step).Reverse().Take(keep), store.List().Select(entry => entry.Step));
            Assert.Equal(steps[^1], store.Newest(_ => Assert.Fail("nothing is damaged"))!.Step);
        }, iter: 20);

    [Fact]
    public void Every_kind_of_damage_is_passed_over_with_its_reason()
    {
        var store = Store;
        foreach (var step in new[] { 1, 2, 3, 4, 5 }) store.Write(step, Fill, keep: 10);
        File.WriteAllText(Path.Combine(store.FolderOf(5), "a.txt"), "jello");
        File.WriteAllText(Path.Combine(store.FolderOf(4), "a.txt"), "hell");
        File.Delete(Path.Combine(store.FolderOf(3), CheckpointManifest.FileName));
        File.WriteAllText(Path.Combine(store.FolderOf(2), CheckpointManifest.FileName), "{ broken");
        var reasons = new List<string>();
        Assert.Equal(1, store.Newest(reasons.Add)!.Step);
        Assert.Collection(reasons,
            reason => Assert.Contains("checksum", reason, StringComparison.Ordinal),
            reason => Assert.Contains("4 bytes instead of 5", reason, StringComparison.Ordinal),
            reason => Assert.Contains("has no manifest.json", reason, StringComparison.Ordinal),
            reason => Assert.Contains("damaged", reason, StringComparison.Ordinal));
    }

    [Fact]
    public void What_a_killed_writer_left_of_an_earlier_step_goes_with_the_next_checkpoint()
    {
        var store = Store;
        var other = new CheckpointStore(store.Root, "other");
        foreach (var step in new[] { 3, 7 }) Fill(store.Begin(step));
        Fill(other.Begin(3));
        Assert.True(Directory.Exists(store.TemporaryOf(3)));
        store.Write(5, Fill, keep: 2);
        Assert.False(Directory.Exists(store.TemporaryOf(3)) || Directory.Exists(other.TemporaryOf(3)));
        // A later one may be under way.
        Assert.True(Directory.Exists(store.TemporaryOf(7)));
    }

    [Fact]
    public void A_failed_write_leaves_the_older_one_and_nothing_half_written()
    {
        var store = Store;
        store.Write(1, Fill, keep: 1);
        Assert.Throws<IOException>(() => store.Write(2, folder =>
        {
            Fill(folder);
            throw new IOException("No space left on device");
        }, keep: 1));
        Assert.Equal([1L], store.List().Select(entry => entry.Step));
        Assert.Equal(1, store.Newest(_ => { })!.Step);
        Assert.Single(Directory.GetDirectories(store.Root));
    }

    [Fact]
    public void Leftovers_are_cleaned_and_never_taken_for_checkpoints()
    {
        var store = Store;
        store.Write(1, Fill, keep: 1);
        Directory.CreateDirectory(store.FolderOf(9) + AtomicFile.TemporarySuffix);
        Directory.CreateDirectory(store.FolderOf(8) + ".old");
        Assert.Equal([1L], store.List().Select(entry => entry.Step));
        store.Clean();
        Assert.Single(Directory.GetDirectories(store.Root));
    }

    [Fact]
    public void A_second_lock_on_a_folder_is_refused_until_the_first_is_gone()
    {
        using (RunLock.Take(root))
            Assert.Equal(ExitCode.Usage, Assert.Throws<PerennialException>(() => RunLock.Take(root)).Code);
        RunLock.Take(root).Dispose();
    }

    public void Dispose() => Directory.Delete(root, recursive: true);
}
