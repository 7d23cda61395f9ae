using Perennial.Data;

namespace Perennial.Evaluation.Tests;

/// <summary>One token a byte, and end-of-text.</summary>
internal sealed class ByteTokenizer : ITokenizer
{
    public int VocabularySize => 257;

    public int EndOfText => 256;

    public string Fingerprint => "bytes";

    public void Encode(ReadOnlySpan<byte> text, List<int> ids)
    {
        foreach (var one in text) ids.Add(one);
    }

    public byte[] Decode(ReadOnlySpan<int> ids) => [.. ids.ToArray().Where(id => id < 256).Select(id => (byte)id)];

    public void Save(string folder) => throw new NotSupportedException();
}
