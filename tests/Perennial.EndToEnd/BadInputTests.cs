using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace Perennial.EndToEnd;

/// <summary>Bad input is met at the door: the exit code of the design, one line with place and cure, nothing half-written.</summary>
public class BadInputTests
{
    /// <summary>Runs the program and checks what every refusal has in common.</summary>
    private static void Refused(int code, string says, Workplace place, params string[] arguments)
    {
        var (given, output, error) = Cli.Run(arguments);
        Assert.True(code == given, $"exit {given} instead of {code}: {error}{output}");
        Assert.Contains(says, error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", error, StringComparison.Ordinal);
        Assert.DoesNotContain("unexpected error", error, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(place.Path, "*.partial", SearchOption.AllDirectories));
        Assert.False(Directory.Exists(place["refused"]));
    }

    private static void TrainRefused(int code, string says, Workplace place, string recipe, params string[] more) => Refused(code, says, place, ["train", recipe, "--run", place["refused"], .. more]);

    [Theory]
    [InlineData("optimiser.kind=adamw", "--set optimiser.kind: unknown key 'optimiser', did you mean 'optimizer'?")]
    [InlineData("model.layers=many", "'layers' must be a whole number; found 'many'")]
    [InlineData("model.width=-8", "'width' must be from 2")]
    [InlineData("model.heads=3", "do not divide width 32; take a divisor")]
    [InlineData("training.batch=0", "'batch' must be from 1")]
    [InlineData("training.steps=ten", "--set training.steps")]
    [InlineData("seed.deep=1", "--set seed.deep: 'seed' must be a whole number")]
    [InlineData("seed", "write it as key.path=value")]
    [InlineData("optimizer.kind=adamv", "unknown optimizer 'adamv', did you mean 'adamw'?")]
    [InlineData("data.sources.7.path=x", "is not a position in it")]
    [InlineData("data.holdout=2", "'holdout'")]
    public void A_wrong_setting(string setting, string says)
    {
        using var place = new Workplace();
        TrainRefused(2, says, place, place.Recipe(), "--set", setting);
    }

    [Fact]
    public void A_wrong_command_line()
    {
        using var place = new Workplace();
        Refused(2, "unknown command 'trian', did you mean 'train'?", place, "trian", "x.yaml");
        TrainRefused(2, "unknown option '--frehs', did you mean '--fresh'?", place, place.Recipe(), "--frehs");
        TrainRefused(2, "nowhere.yaml: no such recipe file", place, place["nowhere.yaml"]);
        TrainRefused(2, "broken.yaml:3:1: not valid YAML", place, place.Write("broken.yaml", "name: x\ndata: [unclosed\n"));
        TrainRefused(2, "misspelt.yaml:2:1: unknown key 'modle', did you mean 'model'?", place, place.Write("misspelt.yaml", "name: x\nmodle: { kind: llama }\n"));
    }

    private static string Over(Workplace place, string source) => place.Recipe().Replace("\\", "/", StringComparison.Ordinal) is var recipe
        ? place.Write($"over-{Guid.NewGuid():N}.yaml", File.ReadAllText(recipe).Replace(place["text.txt"], source, StringComparison.Ordinal)) : "";

    [Fact]
    public void Text_that_is_not_there_or_too_short()
    {
        using var place = new Workplace();
        TrainRefused(2, "nowhere.txt': no such file or folder", place, Over(place, place["nowhere.txt"]));
        TrainRefused(2, "hold no text", place, Over(place, place.Write("empty.txt", "")));
        TrainRefused(2, "window", place, Over(place, place.Write("short.txt", "a few words")), "--set", "data.holdout=0");
    }

    [Fact]
    public void Damaged_text()
    {
        using var place = new Workplace();
        var text = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 5000).Select(i => $"line {i * i}\n")));
        using (var packed = new MemoryStream())
        {
            using (var gzip = new GZipStream(packed, CompressionLevel.Fastest, leaveOpen: true)) gzip.Write(text);
            File.WriteAllBytes(place["cut.txt.gz"], packed.ToArray()[..^500]);
        }
        TrainRefused(3, "cut.txt.gz: broken gzip data", place, Over(place, place["cut.txt.gz"]));
        File.WriteAllBytes(place["latin.txt"], [.. text[..1000], 0xE9, .. text[1000..]]);
        TrainRefused(3, "latin.txt: not UTF-8 at byte 1000 (0xe9); convert the file to UTF-8 first", place, Over(place, place["latin.txt"]));
        File.WriteAllBytes(place["bad.parquet"], text);
        TrainRefused(3, "bad.parquet: broken parquet file", place, Over(place, place["bad.parquet"]));
        TrainRefused(3, "bad.jsonl:2: is not valid JSON", place, Over(place, place.Write("bad.jsonl", "{\"text\": \"a\"}\n{\"text\": \n")));
        TrainRefused(3, "other.jsonl:1: has no field 'text'; it has 'body'", place, Over(place, place.Write("other.jsonl", "{\"body\": \"a\"}\n")));
    }

    [Fact]
    public void Folders_that_cannot_take_a_run()
    {
        using var place = new Workplace();
        var recipe = place.Recipe();
        Refused(1, "the run folder cannot be written", place, "train", recipe, "--run", recipe);
        Refused(1, "choose another with --run", place, "train", recipe, "--run", "/proc/perennial");
    }

    [Fact]
    public void A_damaged_shard_and_a_damaged_or_foreign_checkpoint()
    {
        using var place = new Workplace();
        var recipe = place.Recipe(steps: 10);
        var (code, _, error) = Cli.Run("train", recipe, "--run", place["run"]);
        Assert.True(code == 0, error);

        Refused(2, "optimizer.rate", place, "train", recipe, "--set", "optimizer.rate=0.5", "--run", place["run"]);
        var other = place.Recipe("# from a checkpoint", steps: 10);
        File.WriteAllText(other, File.ReadAllText(other).Replace("vocabulary: 320", "vocabulary: 300", StringComparison.Ordinal).Replace("{ kind: llama, layers: 1, width: 32, heads: 2, context: 32 }", $"{{ kind: checkpoint, path: {place["run/checkpoints/step-10"]} }}", StringComparison.Ordinal));
        TrainRefused(2, "is not the one that the checkpoint", place, other);

        var folder = place["run/checkpoints/step-10"];
        Flip(Path.Combine(folder, "model.safetensors"), 5000);
        Refused(3, "does not match its checksum", place, "score", folder, "--text", recipe);
        // Without its manifest it is a Hugging Face folder like any other.
        File.Delete(Path.Combine(folder, "manifest.json"));
        Directory.Delete(Path.Combine(folder, "state"), recursive: true);
        var weights = File.ReadAllBytes(Path.Combine(folder, "model.safetensors"));
        BinaryPrimitives.WriteInt64LittleEndian(weights, 1L << 62);
        File.WriteAllBytes(Path.Combine(folder, "model.safetensors"), weights);
        Refused(3, "more than the 100000000 that the format allows", place, "score", folder, "--text", recipe);
        File.Delete(Path.Combine(folder, "config.json"));
        Refused(2, "config.json: no such file", place, "score", folder, "--text", recipe);

        foreach (var shard in Directory.GetFiles(place["cache"], "train-0.tokens", SearchOption.AllDirectories)) Flip(shard, 2000);
        TrainRefused(3, "the token shard does not match its checksum; delete the folder", place, recipe);
    }

    [Fact]
    public void A_full_disk_ends_the_run_and_the_older_checkpoint_stands()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && Environment.UserName == "root" && TryMount("probe"), "a small file system can only be mounted by root on Linux");
        using var place = new Workplace();
        var disk = Directory.CreateDirectory(place["disk"]).FullName;
        Assert.Equal(0, Shell($"mount -t tmpfs -o size=4m tmpfs {disk}"));
        try
        {
            var recipe = place.Recipe("practices: [{ kind: average, last: 3, every: 1 steps }]", steps: 40);
            var (code, _, error) = Cli.Run("train", recipe, "--run", Path.Combine(disk, "run"), "--set", "resilience.keep=9");
            Assert.Equal(1, code);
            Assert.Contains("No space left on device", error, StringComparison.Ordinal);
            Assert.Contains("make room, then run the same command again", error, StringComparison.Ordinal);
            var (verified, listing, _) = Cli.Run("checkpoint", "verify", Path.Combine(disk, "run"));
            Assert.Equal(0, verified);
            Assert.Contains("step-5: whole", listing, StringComparison.Ordinal);
        }
        finally
        {
            Shell($"umount {disk}");
        }
    }

    private static bool TryMount(string name)
    {
        var folder = Directory.CreateTempSubdirectory($"perennial-{name}-").FullName;
        var mounted = Shell($"mount -t tmpfs -o size=64k tmpfs {folder} 2>/dev/null") == 0;
        if (mounted) Shell($"umount {folder}");
        Directory.Delete(folder);
        return mounted;
    }

    private static int Shell(string line)
    {
        using var process = System.Diagnostics.Process.Start("/bin/sh", ["-c", line]);
        process.WaitForExit();
        return process.ExitCode;
    }

    private static void Flip(string path, int at)
    {
        var bytes = File.ReadAllBytes(path);
        bytes[at] ^= 1;
        File.WriteAllBytes(path, bytes);
    }
}
