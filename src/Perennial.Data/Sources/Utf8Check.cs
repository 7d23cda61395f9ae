using System.Text;
using System.Text.Unicode;
using Perennial.Core;

namespace Perennial.Data.Sources;

/// <summary>Refuses bytes that are not UTF-8, saying where.</summary>
public static class Utf8Check
{
    /// <summary>Checks text that began at a byte offset of a file.</summary>
    /// <exception cref="PerennialException">Exit 3: file and byte offset of the first wrong byte.</exception>
    public static void Require(ReadOnlySpan<byte> text, string path, long offset)
    {
        if (Problem(text, path, offset) is { } problem) throw PerennialException.Damaged(problem);
    }

    /// <summary>What is wrong with text that began at a byte offset of a file (place, byte, cure), or null.</summary>
    public static string? Problem(ReadOnlySpan<byte> text, string path, long offset)
    {
        if (Utf8.IsValid(text)) return null;
        var position = 0;
        while (Rune.DecodeFromUtf8(text[position..], out _, out var length) == System.Buffers.OperationStatus.Done) position += length;
        return $"{path}: not UTF-8 at byte {offset + position} (0x{text[position]:x2}); convert the file to UTF-8 first";
    }
}
