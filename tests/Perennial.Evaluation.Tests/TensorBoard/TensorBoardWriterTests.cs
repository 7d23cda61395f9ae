using System.Text;
using CsCheck;
using Perennial.Evaluation.TensorBoard;
using Perennial.Training;

namespace Perennial.Evaluation.Tests;

public class TensorBoardWriterTests
{
    // RFC 3720, appendix B.4, and the check value of the CRC catalogue.
    [Fact]
    public void Checksums_match_the_published_vectors()
    {
        Assert.Equal(0xE3069283u, RecordFile.Crc32C("123456789"u8));
        Assert.Equal(0x8A9136AAu, RecordFile.Crc32C(new byte[32]));
        Assert.Equal(0x62A8AB43u, RecordFile.Crc32C(Enumerable.Repeat((byte)0xFF, 32).ToArray()));
        Assert.Equal(0x46DD794Eu, RecordFile.Crc32C(Enumerable.Range(0, 32).Select(i => (byte)i).ToArray()));
    }

    [Fact]
    public void Checksums_match_a_bitwise_reference() =>
        Gen.Byte.Array[0, 100].Sample(bytes => RecordFile.Crc32C(bytes) == EventFileReader.Crc(bytes));

    [Fact]
    public void An_independent_reader_finds_every_figure()
    {
        using var folder = new TemporaryFolder();
        using (var writer = new TensorBoardWriter())
            foreach (var happened in Samples.EveryKind(folder.Path)) writer.Observe(happened);

        var events = EventFileReader.Read(Assert.Single(Files(folder)));
        Assert.Equal("brain.Event:2", events[0].FileVersion);
        var values = events.SelectMany(e => e.Values.Select(value => (e.Step, value.Tag, value))).ToList();
        Assert.Equal((float)Samples.Step(2).Loss, values.Single(v => v is { Step: 2, Tag: "train/loss" }).value.Scalar);
        Assert.Equal(16384f, values.Single(v => v is { Step: 1, Tag: "speed/tokens_per_second" }).value.Scalar);
        Assert.Equal(3.5f, values.Single(v => v.Tag == "held-out/bits_per_byte").value.Scalar);
        foreach (var tag in new[] { "train/learning_rate", "train/gradient_norm", "speed/mfu", "held-out/loss" })
            Assert.Contains(values, v => v.Tag == tag && v.value.Scalar is not null);
        var sample = values.Single(v => v.Tag == "sample").value;
        Assert.Equal("text", sample.Plugin);
        Assert.Equal("**It is** a \"truth\" \\ universally\nacknowledged — ü", sample.Text);
        Assert.Contains("name: sample", values.Single(v => v.Tag == "recipe").value.Text, StringComparison.Ordinal);
        Assert.All(events, e => Assert.True(e.WallTime > 1e9));
    }

    [Fact]
    public void A_resume_opens_a_new_file_that_takes_back_later_steps()
    {
        using var folder = new TemporaryFolder();
        using (var first = new TensorBoardWriter())
        {
            first.Observe(Samples.Start(folder.Path));
            first.Observe(Samples.Step(1));
        }
        using (var second = new TensorBoardWriter()) second.Observe(Samples.Start(folder.Path, 20));

        Assert.Equal(2, Files(folder).Length);
        var start = EventFileReader.Read(Files(folder)[1])[1];
        Assert.Equal((21L, 1L), (start.Step, start.SessionStatus));
    }

    [Fact]
    public void Weights_of_a_practice_have_their_own_curve()
    {
        using var folder = new TemporaryFolder();
        using (var writer = new TensorBoardWriter())
        {
            writer.Observe(Samples.Start(folder.Path));
            writer.Observe(Samples.Evaluation(5, "ema"));
        }
        Assert.Contains(EventFileReader.Read(Files(folder)[0]).SelectMany(e => e.Values), value => value.Tag == "held-out/bits_per_byte/ema");
    }

    [Fact]
    public void Negative_and_large_numbers_are_encoded_as_protocol_buffers_do()
    {
        // From the encoding guide: field 1 = 150 is 08 96 01; negative int64 takes ten bytes.
        var message = EventMessage.Scalars(0, 150, []);
        Assert.Contains("10-96-01", BitConverter.ToString(message), StringComparison.Ordinal);
        Assert.Contains("10-FF-FF-FF-FF-FF-FF-FF-FF-FF-01", BitConverter.ToString(EventMessage.Scalars(0, -1, [])), StringComparison.Ordinal);
        Assert.Contains(Encoding.UTF8.GetString("ü"u8), Encoding.UTF8.GetString(EventMessage.Text(0, 1, "ü", "ü")), StringComparison.Ordinal);
    }

    private static string[] Files(TemporaryFolder folder)
    {
        var files = Directory.GetFiles(folder.Path, "events.out.tfevents.*");
        Array.Sort(files, StringComparer.Ordinal);
        return files;
    }
}
