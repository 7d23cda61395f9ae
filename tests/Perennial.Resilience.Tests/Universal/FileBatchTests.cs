using Perennial.Resilience.Universal;
using Xunit;

namespace Perennial.Resilience.Tests.Universal;

public sealed class FileBatchTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("perennial-batch-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Theory]
    [InlineData(3)]
    [InlineData(200)]
    public void Files_from_several_threads_are_all_there_after_the_commit(int count)
    {
        using (var batch = new FileBatch())
        {
            Concurrent.For(count, 4, i => batch.Write(At(i), file => file.Write(stream => stream.WriteByte((byte)i))));
            batch.Commit();
        }
        Assert.Equal(count, Directory.GetFiles(folder).Length);
        for (var i = 0; i < count; i++) Assert.Equal([(byte)i], File.ReadAllBytes(At(i)));
    }

    [Fact]
    public void One_that_fails_takes_the_uncommitted_with_it()
    {
        using (var batch = new FileBatch())
        {
            batch.Write(At(0), file => file.Write(stream => stream.WriteByte(1)));
            Assert.Throws<IOException>(() => batch.Write(At(1), _ => throw new IOException("full")));
        }
        Assert.Empty(Directory.GetFiles(folder));
    }

    private string At(int file) => Path.Combine(folder, $"f{file}");
}
