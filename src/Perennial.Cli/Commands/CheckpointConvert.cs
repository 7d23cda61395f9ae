using System.CommandLine;
using System.Globalization;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Core.Safetensors;
using Perennial.Evaluation.Checkpoints;
using Perennial.Models.HuggingFace;
using Perennial.Resilience.Layouts;
using Perennial.Tensors;
using Perennial.Training.Checkpoints;

namespace Perennial.Cli.Commands;

/// <summary><c>perennial checkpoint convert</c>.</summary>
internal static class CheckpointConvert
{
    private static readonly (string Unit, long Bytes)[] Units = [("KiB", 1L << 10), ("MiB", 1L << 20), ("GiB", 1L << 30), ("KB", 1000), ("MB", 1000_000), ("GB", 1000_000_000), ("B", 1)];

    public static Command Create(CommandContext context)
    {
        var path = new Argument<string>("CHECKPOINT") { Description = "A run folder, a checkpoint, or a Hugging Face folder." };
        var target = new Option<string>("--out") { Description = "The new folder.", Required = true };
        var to = new Option<string>("--to") { Description = "hf: a Hugging Face folder; atoms: one file a tensor; data=4,tensor=2,pipeline=1,zero=1: the files that ranks of this shape write.", DefaultValueFactory = _ => "hf" };
        var type = new Option<string?>("--type") { Description = "float32, bfloat16 or float16; each tensor's own when left out." };
        var shard = new Option<string?>("--shard-size") { Description = "Most bytes of one file, such as 5GB or 500MiB; a single file when left out." };
        return new Command("convert", "Write a checkpoint anew: for Hugging Face, for another parallel shape, one file a tensor, in shards, with another element type.") { path, target, to, type, shard }.Does(parsed =>
        {
            var (form, source, folder) = (parsed.GetRequiredValue(to), LoadedCheckpoint.Locate(parsed.GetRequiredValue(path), context.Error.WriteLine), parsed.GetRequiredValue(target));
            if (form != "hf")
            {
                if (parsed.GetValue(type) is not null || parsed.GetValue(shard) is not null) throw PerennialException.Usage("--type and --shard-size belong to --to hf: other forms keep float32 and write a file a rank or a tensor");
                var shape = form == "atoms" ? null : ParallelShape.Parse(form);
                TorchRuntime.Initialize();
                var manifest = shape is null ? CheckpointConversion.ToAtoms(source, folder) : CheckpointConversion.ToShape(source, folder, shape);
                context.Out.WriteLine($"{folder}: {manifest.Slots.Count} slot(s) in {manifest.Files.Count} file(s), {manifest.Files.Sum(file => file.Bytes):N0} bytes; read back and equal to the source");
                return ExitCode.Done;
            }
            TorchRuntime.Initialize();
            var options = new ConversionOptions { Type = Type(parsed.GetValue(type)), ShardBytes = Bytes(parsed.GetValue(shard)) };
            var files = CheckpointConversion.ToHuggingFace(source, folder, options);
            context.Out.WriteLine($"{folder}: {files.Count} weight file(s) written");
            return ExitCode.Done;
        });
    }

    private static SafetensorsType? Type(string? word) => word switch
    {
        null => null,
        "float32" => SafetensorsType.F32,
        "float16" => SafetensorsType.F16,
        "bfloat16" => SafetensorsType.BF16,
        _ => throw PerennialException.Usage($"--type: unknown type '{word}'; known: float32, bfloat16, float16"),
    };

    private static long? Bytes(string? text)
    {
        if (text is null) return null;
        foreach (var (unit, bytes) in Units)
        {
            if (!text.EndsWith(unit, StringComparison.Ordinal)) continue;
            if (double.TryParse(text[..^unit.Length], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number) && number * bytes is >= 1 and < 1e18) return (long)(number * bytes);
        }
        throw PerennialException.Usage($"--shard-size: '{text}' is no size; write 5GB or 500MiB");
    }
}
