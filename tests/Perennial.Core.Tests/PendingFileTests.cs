using Xunit;

namespace Perennial.Core.Tests;

public sealed class PendingFileTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("perennial-pending-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void What_is_written_can_be_read_back_before_the_commit_and_has_its_name_after_it()
    {
        var path = Path.Combine(folder, "a");
        File.WriteAllText(path, "old");
        using var file = new PendingFile(path, FileShare.Read);
        file.Write(stream => stream.Write("new"u8));
        Assert.Equal("new", File.ReadAllText(file.Temporary));
        Assert.Equal("old", File.ReadAllText(path));
        PendingFile.Commit([file]);
        Assert.Equal("new", File.ReadAllText(path));
        Assert.Equal([path], Directory.GetFiles(folder));
    }

    [Fact]
    public void What_is_not_committed_leaves_nothing()
    {
        var path = Path.Combine(folder, "a");
        using (var file = new PendingFile(path, FileShare.None)) file.Write(stream => stream.Write(new byte[100_000]));
        Assert.Empty(Directory.GetFiles(folder));
    }

    [Fact]
    public void Several_are_committed_together_and_none_if_one_cannot_be()
    {
        string[] paths = [.. Enumerable.Range(0, 3).Select(i => Path.Combine(folder, $"f{i}"))];
        var files = paths.Select(path => new PendingFile(path, FileShare.Read)).ToList();
        foreach (var file in files) file.Write(stream => stream.Write("x"u8));
        // A closed file stands for a disk that does not take the flush.
        files[2].Dispose();
        Assert.ThrowsAny<Exception>(() => PendingFile.Commit(files));
        foreach (var file in files) file.Dispose();
        Assert.Empty(Directory.GetFiles(folder));
    }
}
