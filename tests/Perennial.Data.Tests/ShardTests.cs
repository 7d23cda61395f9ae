using Perennial.Core;
using Perennial.Data.Preparation;
using Perennial.Data.Shards;

namespace Perennial.Data.Tests;

public class ShardTests
{
    private static string Write(TemporaryFolder folder, int vocabulary, params (Document Document, int[] Ids)[] documents)
    {
        var path = Path.Combine(folder.Path, "one.tokens");
        AtomicFile.Write(path, stream =>
        {
            var writer = new TokenShardWriter(stream, vocabulary);
            foreach (var (document, ids) in documents) writer.Add(document, ids);
            writer.Complete();
        });
        return path;
    }

    private static Document Made(string text, long line, params (string Name, double Value)[] scores) =>
        new(System.Text.Encoding.UTF8.GetBytes(text), new Provenance("a/b.txt", line - 1, line)) { Scores = scores.ToDictionary(score => score.Name, score => score.Value) };

    [Theory]
    [InlineData(1000)]
    [InlineData(100_000)]
    public void What_is_written_is_read_back(int vocabulary)
    {
        using var folder = new TemporaryFolder();
        var top = vocabulary - 1;
        using var shard = TokenShard.Open(Write(folder, vocabulary,
            (Made("one", 1, ("quality", 0.5), ("rare", 1)), [7, top, 0]), (Made("three", 5, ("quality", 2)), [1, 2, 3, 4, 0]), (Made("x", 9, ("quality", -1)), [0])));
        Assert.Equal((9, 3, 9), (shard.Tokens, shard.Documents, shard.TextBytes));
        Assert.Equal([7, top], shard.Document(0));
        Assert.Equal([1, 2, 3, 4], shard.Document(1));
        Assert.Empty(shard.Document(2));
        Assert.Equal(new Provenance("a/b.txt", 4, 5), shard.Origin(1));
        Assert.Equal(["quality"], shard.ScoreNames); // "rare" is not known of every document
        Assert.Equal([0.5, 2, -1], shard.Scores("quality")!);
        Assert.Null(shard.Scores("rare"));
        Assert.Equal([0L, 0, 0, 1, 1, 1, 1, 1, 2], Enumerable.Range(0, 9).Select(token => shard.DocumentOf(token)));
    }

    [Fact]
    public void Any_flipped_byte_and_any_truncation_is_found()
    {
        using var folder = new TemporaryFolder();
        var bytes = File.ReadAllBytes(Write(folder, 300, (Made("one", 1, ("quality", 1)), [5, 6, 0]), (Made("two", 2, ("quality", 2)), [7, 0])));
        for (var i = 0; i < bytes.Length; i++)
        {
            var damaged = (byte[])bytes.Clone();
            damaged[i] ^= (byte)(1 << i % 8);
            Refused(damaged);
            Refused(bytes[..i]);
        }
        Refused([.. bytes, 0]);

        void Refused(byte[] content)
        {
            var path = folder.Write("damaged.tokens", content);
            var thrown = Assert.Throws<PerennialException>(() => TokenShard.Open(path).Dispose());
            Assert.Equal(ExitCode.Damaged, thrown.Code);
            Assert.StartsWith(path, thrown.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Wrong_indices_and_closed_shards_are_exceptions_and_not_crashes()
    {
        using var folder = new TemporaryFolder();
        var shard = TokenShard.Open(Write(folder, 300, (Made("one", 1), [5, 6, 0])));
        Assert.Throws<ArgumentOutOfRangeException>(() => shard.Read(1, new long[3]));
        Assert.Throws<ArgumentOutOfRangeException>(() => shard.Read(-1, new long[1]));
        Assert.Throws<ArgumentOutOfRangeException>(() => shard.Origin(1));
        shard.Dispose();
        shard.Dispose();
        Assert.Throws<ObjectDisposedException>(() => shard.Read(0, new long[1]));
        Assert.Throws<ObjectDisposedException>(() => shard.DocumentStart(0));
    }

    [Theory]
    [InlineData("train-0.tokens")]
    [InlineData("heldout-0.tokens")]
    [InlineData("tokenizer.json")]
    [InlineData("prepared.json")]
    public void Damage_in_the_cache_names_the_file_and_the_cure(string name)
    {
        using var folder = new TemporaryFolder();
        var options = PreparationTests.Options(folder, folder.Write("a.txt", PreparationTests.Text(20)));
        string prepared;
        using (var data = DataPreparation.Prepare(options, 1)) prepared = data.Folder;
        var path = Path.Combine(prepared, name);
        var whole = File.ReadAllBytes(path);
        foreach (var at in new[] { 3, whole.Length / 2, whole.Length - 3 })
        {
            var bytes = (byte[])whole.Clone();
            bytes[at] ^= 1;
            File.WriteAllBytes(path, bytes);
            // A blank between JSON tokens may become another character that JSON ignores only if nothing changes in meaning.
            if (Record.Exception(() => DataPreparation.Prepare(options, 1).Dispose()) is { } thrown)
            {
                Assert.Equal(ExitCode.Damaged, Assert.IsType<PerennialException>(thrown).Code);
                Assert.Contains(name, thrown.Message, StringComparison.Ordinal);
            }
            else
                Assert.EndsWith(".json", name, StringComparison.Ordinal);
        }
        File.Delete(path);
        Assert.Contains(name, Assert.Throws<PerennialException>(() => DataPreparation.Prepare(options, 1)).Message, StringComparison.Ordinal);
        Directory.Delete(prepared, recursive: true);
        DataPreparation.Prepare(options, 1).Dispose();
    }

    [Fact]
    public void A_whole_shard_in_the_wrong_place_is_found()
    {
        using var folder = new TemporaryFolder();
        var options = PreparationTests.Options(folder, folder.Write("a.txt", PreparationTests.Text(20)));
        string prepared;
        using (var data = DataPreparation.Prepare(options, 1)) prepared = data.Folder;
        File.Copy(Path.Combine(prepared, "heldout-0.tokens"), Path.Combine(prepared, "train-0.tokens"), overwrite: true);
        Assert.Contains("was replaced", Assert.Throws<PerennialException>(() => DataPreparation.Prepare(options, 1)).Message, StringComparison.Ordinal);
    }
}
