using Perennial.Core;
using Perennial.Data.Sources;

namespace Perennial.Evaluation.Checkpoints;

/// <summary>A text to evaluate on, as one document.</summary>
public static class TextFile
{
    /// <summary>The bytes of a UTF-8 file, unpacked when its name ends in .gz or .zst, without a byte-order mark.</summary>
    /// <exception cref="PerennialException">Exit 2: it cannot be opened or is empty. Exit 3: broken compression, or not UTF-8.</exception>
    public static ReadOnlyMemory<byte> Read(string path)
    {
        using var unpacked = new MemoryStream();
        using (var stream = SourceStream.Open(path)) stream.CopyTo(unpacked);
        var bytes = unpacked.ToArray();
        Utf8Check.Require(bytes, path, 0);
        var text = bytes.AsMemory(bytes.AsSpan().StartsWith("\uFEFF"u8) ? 3 : 0);
        return text.IsEmpty ? throw PerennialException.Usage($"{path}: is empty; give a file with text") : text;
    }
}
