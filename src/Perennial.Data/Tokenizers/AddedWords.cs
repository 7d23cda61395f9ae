using System.Text;

namespace Perennial.Data.Tokenizers;

/// <summary>Finds added tokens in text, as Hugging Face's tokenizers do before anything else: leftmost first, and there the longest.</summary>
internal sealed class AddedWords
{
    private readonly (byte[] Bytes, int Id)[]?[] byFirst = new (byte[], int)[]?[256];
    private readonly System.Buffers.SearchValues<byte> firsts;

    public AddedWords(IEnumerable<SpecialToken> words)
    {
        var groups = words.Where(word => word.Content.Length > 0).Select(word => (Bytes: Encoding.UTF8.GetBytes(word.Content), word.Id)).GroupBy(word => word.Bytes[0]).ToList();
        foreach (var group in groups) byFirst[group.Key] = [.. group.OrderByDescending(word => word.Bytes.Length)];
        firsts = System.Buffers.SearchValues.Create([.. groups.Select(group => group.Key)]);
    }

    public (int Start, int Length, int Id)? Find(ReadOnlySpan<byte> text)
    {
        for (var position = 0; position < text.Length; position++)
        {
            var step = text[position..].IndexOfAny(firsts);
            if (step < 0) return null;
            position += step;
            foreach (var (bytes, id) in byFirst[text[position]]!)
            {
                if (text[position..].StartsWith(bytes)) return (position, bytes.Length, id);
            }
        }
        return null;
    }
}
