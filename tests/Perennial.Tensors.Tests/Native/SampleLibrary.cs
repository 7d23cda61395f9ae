using System.Text;

namespace Perennial.Tensors.Tests.Native;

/// <summary>
/// Writes the smallest ELF64 file that has the tables the mend looks at: dynamic strings, symbols, their versions, the version
/// requirements and the section names, in that order, section headers last.
/// </summary>
internal static class SampleLibrary
{
    public static byte[] Build(string required = "GLIBCXX_3.4.32", string donor = "_ZN2at15get_num_threadsEv", bool secondNewSymbol = false)
    {
        var strings = new Strings();
        (string Name, ushort Version)[] symbols =
        [
            ("", 0), ("malloc", 2), ("_ZSt21ios_base_library_initv", 3), (donor, 1), ("_ZSt4cout", 4),
            .. secondNewSymbol ? new[] { ("_ZSt3newv", (ushort)3) } : [],
        ];

        var symbolTable = Bytes(writer =>
        {
            foreach (var (name, _) in symbols)
            {
                writer.Write(strings.Add(name));
                writer.Write((byte)0x12);
                writer.Write((byte)0);
                writer.Write((ushort)0); // undefined
                writer.Write(0ul);
                writer.Write(0ul);
            }
        });
        var versions = Bytes(writer => { foreach (var (_, version) in symbols) writer.Write(version); });
        var needs = Bytes(writer =>
        {
            Need(writer, strings, "libc.so.6", last: false, ("GLIBC_2.17", 2));
            Need(writer, strings, "libstdc++.so.6", last: true, ("GLIBCXX_3.4", 4), (required, 3));
        });
        return Assemble((".dynstr", 3, strings.ToArray(), 0), (".dynsym", 11, symbolTable, 1), (".gnu.version", 0x6fffffff, versions, 0), (".gnu.version_r", 0x6ffffffe, needs, 2));
    }

    /// <summary>How many runs of changed bytes there are, runs nearer than 5 bytes counted as one.</summary>
    public static int Regions(int[] changed) => changed.Where((at, i) => i == 0 || at - changed[i - 1] > 4).Count();

    private static void Need(BinaryWriter writer, Strings strings, string file, bool last, params (string Name, ushort Index)[] versions)
    {
        writer.Write((ushort)1);
        writer.Write((ushort)versions.Length);
        writer.Write(strings.Add(file));
        writer.Write(16u);
        writer.Write(last ? 0u : 16u * (1 + (uint)versions.Length));
        for (var i = 0; i < versions.Length; i++)
        {
            writer.Write(0x12345678u);
            writer.Write((ushort)0);
            writer.Write(versions[i].Index);
            writer.Write(strings.Add(versions[i].Name));
            writer.Write(i + 1 < versions.Length ? 16u : 0u);
        }
    }

    private static byte[] Assemble(params (string Name, uint Kind, byte[] Content, uint Info)[] sections)
    {
        var names = new Strings();
        var all = sections.Append((Name: ".shstrtab", Kind: 3u, Content: Array.Empty<byte>(), Info: 0u)).ToArray();
        var nameOffsets = all.Select(section => names.Add(section.Name)).ToArray();
        all[^1].Content = names.ToArray();
        return Bytes(writer =>
        {
            var headers = 64 + all.Sum(section => section.Content.Length);
            writer.Write([0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            writer.Write((ushort)3);
            writer.Write((ushort)62);
            writer.Write(1u);
            writer.Write(0ul);
            writer.Write(0ul);
            writer.Write((ulong)headers);
            writer.Write(0u);
            foreach (ushort value in new ushort[] { 64, 0, 0, 64, (ushort)all.Length, (ushort)(all.Length - 1) }) writer.Write(value);
            foreach (var section in all) writer.Write(section.Content);
            var offset = 64ul;
            for (var i = 0; i < all.Length; i++)
            {
                writer.Write(nameOffsets[i]);
                writer.Write(all[i].Kind);
                writer.Write(0ul);
                writer.Write(0ul);
                writer.Write(offset);
                writer.Write((ulong)all[i].Content.Length);
                writer.Write(0u);
                writer.Write(all[i].Info);
                writer.Write(1ul);
                writer.Write(0ul);
                offset += (ulong)all[i].Content.Length;
            }
        });
    }

    private static byte[] Bytes(Action<BinaryWriter> write)
    {
        var stream = new MemoryStream();
        using (var writer = new BinaryWriter(stream)) write(writer);
        return stream.ToArray();
    }

    private sealed class Strings
    {
        private readonly List<byte> bytes = [0];

        public uint Add(string text)
        {
            var at = (uint)bytes.Count;
            bytes.AddRange(Encoding.ASCII.GetBytes(text));
            bytes.Add(0);
            return at;
        }

        public byte[] ToArray() => [.. bytes];
    }
}
