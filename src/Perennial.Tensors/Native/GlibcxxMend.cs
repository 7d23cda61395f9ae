// Compiled twice: into Perennial.Tensors, and by MSBuild as an inline task (Directory.Build.targets), which takes one
// source file against .NET Standard 2.0. Hence one file, no records, no spans, and the task at the end.
#nullable enable
using System;
using System.Collections.Generic;
using System.IO;
using System.Text;

namespace Perennial.Tensors.Native;

/// <summary>What <see cref="GlibcxxMend"/> found or did.</summary>
public enum MendOutcome
{
    /// <summary>The library asks for nothing that an older libstdc++ lacks.</summary>
    NotNeeded,

    /// <summary>The returned image is mended.</summary>
    Mended,

    /// <summary>The image was mended before; nothing changed.</summary>
    AlreadyMended,

    /// <summary>The file is not laid out as expected; nothing was changed.</summary>
    UnknownLayout,
}

/// <summary>Result of <see cref="GlibcxxMend.Mend(byte[])"/>.</summary>
public sealed class MendResult
{
    internal MendResult(MendOutcome outcome, string reason, byte[] image) => (Outcome, Reason, Image) = (outcome, reason, image);

    /// <summary>What was found or done.</summary>
    public MendOutcome Outcome { get; }

    /// <summary>One line for people.</summary>
    public string Reason { get; }

    /// <summary>The mended bytes when <see cref="Outcome"/> is <see cref="MendOutcome.Mended"/>; otherwise the given array itself.</summary>
    public byte[] Image { get; }
}

/// <summary>
/// Lets <c>libLibTorchSharp.so</c> load where the system's libstdc++ is older than GCC 13's. The library needs one symbol of
/// version GLIBCXX_3.4.32, <c>std::ios_base_library_init()</c>, a call that only anchors the stream initialization which older
/// libstdc++ do by themselves. Three edits of the dynamic symbol tables undo the need: the version requirement becomes weak,
/// the undefined symbol takes the name of a harmless argument-free function that is imported already, and loses its version.
/// Pure: works on bytes, touches no file except in <see cref="MendFile"/>, and never the input.
/// </summary>
public static class GlibcxxMend
{
    /// <summary>The symbol version at fault.</summary>
    public const string Version = "GLIBCXX_3.4.32";

    private const string Symbol = "_ZSt21ios_base_library_initv";
    private const string Donor = "_ZN2at15get_num_threadsEv";
    private const int SymbolSize = 24;
    private const uint StringTable = 3, DynamicSymbols = 11, VersionNeeds = 0x6ffffffe, VersionSymbols = 0x6fffffff;
    private const ushort Weak = 2, GlobalVersion = 1;

    /// <summary>Mends the image of a shared library; the given array is not changed.</summary>
    /// <param name="image">A whole ELF64 little-endian file.</param>
    public static MendResult Mend(byte[] image)
    {
        _ = image ?? throw new ArgumentNullException(nameof(image));
        try
        {
            return Edit(image);
        }
        catch (LayoutException error)
        {
            return new MendResult(MendOutcome.UnknownLayout, error.Message, image);
        }
    }

    /// <summary>
    /// Puts a mended copy of <paramref name="source"/> at <paramref name="destination"/>, or a plain copy where no mend applies or
    /// <paramref name="needed"/> is false. Always a new file (temporary name, then rename): an old hard link at the destination is
    /// replaced, never written through.
    /// </summary>
    /// <exception cref="IOException">A file cannot be read or written.</exception>
    public static MendResult MendFile(string source, string destination, bool needed = true)
    {
        var image = File.ReadAllBytes(source);
        var result = needed ? Mend(image) : new MendResult(MendOutcome.NotNeeded, $"the system's libstdc++ has {Version}", image);
        var temporary = destination + "." + Guid.NewGuid().ToString("N") + ".partial";
        try
        {
            File.WriteAllBytes(temporary, result.Image);
            if (File.Exists(destination)) File.Replace(temporary, destination, null);
            else File.Move(temporary, destination);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
        return result;
    }

    /// <summary>
    /// Whether this system's libstdc++ lacks <see cref="Version"/>. Reads the library's bytes instead of loading it, so that it can be
    /// asked inside a build. True when no libstdc++ is found: the mend does no harm on a newer one.
    /// </summary>
    public static bool SystemNeedsIt()
    {
        var path = SystemLibrary();
        return path is null || !Contains(File.ReadAllBytes(path), Encoding.ASCII.GetBytes(Version + "\0"));
    }

    /// <summary>The <c>libstdc++.so.6</c> that the loader takes on this system; null when there is none in the usual folders.</summary>
    public static string? SystemLibrary()
    {
        foreach (var folder in LoaderFolders())
        {
            var path = Path.Combine(folder, "libstdc++.so.6");
            if (File.Exists(path)) return path;
        }
        return null;
    }

    private static IEnumerable<string> LoaderFolders()
    {
        foreach (var folder in (Environment.GetEnvironmentVariable("LD_LIBRARY_PATH") ?? "").Split([':'], StringSplitOptions.RemoveEmptyEntries))
            yield return folder;
        if (Directory.Exists("/etc/ld.so.conf.d"))
        {
            var files = Directory.GetFiles("/etc/ld.so.conf.d", "*.conf");
            Array.Sort(files, StringComparer.Ordinal);
            foreach (var file in files)
                foreach (var line in File.ReadAllLines(file))
                    if (line.Length > 0 && line[0] == '/' && line.IndexOf("i386", StringComparison.Ordinal) < 0) yield return line.Trim();
        }
        foreach (var folder in new[] { "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib" })
            yield return folder;
    }

    private static bool Contains(byte[] image, byte[] wanted)
    {
        for (var at = Array.IndexOf(image, wanted[0]); at >= 0 && at <= image.Length - wanted.Length; at = Array.IndexOf(image, wanted[0], at + 1))
        {
            var same = 1;
            while (same < wanted.Length && image[at + same] == wanted[same]) same++;
            if (same == wanted.Length) return true;
        }
        return false;
    }

    private static MendResult Edit(byte[] image)
    {
        var elf = new Elf(image);
        var strings = elf.Section(".dynstr", StringTable);
        var symbols = elf.Section(".dynsym", DynamicSymbols);
        var versions = elf.Section(".gnu.version", VersionSymbols);
        if (symbols.Size % SymbolSize != 0 || versions.Size != symbols.Size / SymbolSize * 2)
            throw new LayoutException("symbol and version tables differ in length");
        if (!elf.HasSection(".gnu.version_r")) return new MendResult(MendOutcome.NotNeeded, "the library needs no symbol versions", image);

        var need = FindNeed(elf, elf.Section(".gnu.version_r", VersionNeeds), strings);
        if (need < 0) return new MendResult(MendOutcome.NotNeeded, $"the library does not need {Version}", image);
        var weak = (elf.U16(need + 4) & Weak) != 0;
        var index = elf.U16(need + 6) & 0x7fff;

        long target = -1, donor = -1;
        for (long i = 0; i < symbols.Size / SymbolSize; i++)
        {
            var entry = symbols.Offset + i * SymbolSize;
            var isTarget = (elf.U16(versions.Offset + 2 * i) & 0x7fff) == index;
            var name = elf.U32(entry);
            if (isTarget)
            {
                if (target >= 0 || !elf.TextIs(strings, name, Symbol)) throw new LayoutException($"more of {Version} is needed than {Symbol}");
                if (elf.U16(entry + 6) != 0) throw new LayoutException($"{Symbol} is defined, not imported");
                target = i;
            }
            else if (donor < 0 && elf.U16(entry + 6) == 0 && elf.TextIs(strings, name, Donor)) donor = name;
        }
        if (target < 0 && weak) return new MendResult(MendOutcome.AlreadyMended, $"{Version} was mended before", image);
        if (target < 0) throw new LayoutException($"{Version} is required but no symbol carries it");
        if (donor < 0) throw new LayoutException($"{Donor} is not imported");

        var mended = (byte[])image.Clone();
        Put(mended, need + 4, (uint)(elf.U16(need + 4) | Weak), 2);
        Put(mended, symbols.Offset + target * SymbolSize, (uint)donor, 4);
        Put(mended, versions.Offset + 2 * target, GlobalVersion, 2);
        return new MendResult(MendOutcome.Mended, $"{Symbol}@{Version} no longer needed", mended);
    }

    /// <summary>Offset of the one requirement of <see cref="Version"/>, or -1.</summary>
    private static long FindNeed(Elf elf, Section needs, Section strings)
    {
        long found = -1, file = needs.Offset;
        for (uint i = 0; i < needs.Info; i++)
        {
            var auxiliary = file + elf.U32(file + 8);
            for (var left = elf.U16(file + 2); left > 0; left--)
            {
                if (auxiliary < needs.Offset || auxiliary + 16 > needs.Offset + needs.Size) throw new LayoutException("version requirement out of its section");
                if (elf.TextIs(strings, elf.U32(auxiliary + 8), Version))
                {
                    if (found >= 0) throw new LayoutException($"{Version} is required twice");
                    found = auxiliary;
                }
                var step = elf.U32(auxiliary + 12);
                if (step == 0) break;
                auxiliary += step;
            }
            var next = elf.U32(file + 12);
            if (next == 0) break;
            file += next;
        }
        return found;
    }

    private static void Put(byte[] image, long at, uint value, int width)
    {
        for (var i = 0; i < width; i++) image[at + i] = (byte)(value >> (8 * i));
    }

    private sealed class LayoutException(string message) : Exception(message);

    private readonly struct Section(long offset, long size, uint info)
    {
        public long Offset { get; } = offset;
        public long Size { get; } = size;
        public uint Info { get; } = info;
    }

    /// <summary>Bounds-checked reading of an ELF64 little-endian file.</summary>
    private sealed class Elf
    {
        private readonly byte[] image;
        private readonly Dictionary<string, (uint Kind, Section Section)> sections = new(StringComparer.Ordinal);

        public Elf(byte[] image)
        {
            this.image = image;
            if (image.Length < 64 || U32(0) != 0x464c457f) throw new LayoutException("not an ELF file");
            if (image[4] != 2 || image[5] != 1 || U16(18) != 62) throw new LayoutException("not an x86-64 ELF file");
            long headers = Signed(40), size = U16(58), count = U16(60);
            if (size != 64 || count == 0) throw new LayoutException("no section headers");
            if (headers + size * count > image.Length) throw new LayoutException("truncated");
            var names = headers + U16(62) * size;
            var nameTable = new Section(Signed(names + 24), Signed(names + 32), 0);
            for (long i = 0; i < count; i++)
            {
                var at = headers + i * size;
                var section = new Section(Signed(at + 24), Signed(at + 32), U32(at + 44));
                var kind = U32(at + 4);
                if (kind is not (StringTable or DynamicSymbols or VersionNeeds or VersionSymbols)) continue;
                if (section.Offset + section.Size > image.Length) throw new LayoutException("section out of the file");
                var name = Text(nameTable, U32(at));
                if (sections.ContainsKey(name)) throw new LayoutException($"two sections named {name}");
                sections.Add(name, (kind, section));
            }
        }

        public bool HasSection(string name) => sections.ContainsKey(name);

        public Section Section(string name, uint kind) =>
            sections.TryGetValue(name, out var found) && found.Kind == kind ? found.Section : throw new LayoutException($"no section {name}");

        public ushort U16(long at) => (ushort)Number(at, 2);

        public uint U32(long at) => (uint)Number(at, 4);

        /// <summary>A 64-bit offset or size; anything beyond the file is refused here, so that sums cannot overflow.</summary>
        public long Signed(long at)
        {
            var value = Number(at, 8);
            return value <= (ulong)image.Length ? (long)value : throw new LayoutException("offset out of the file");
        }

        public bool TextIs(Section table, uint offset, string wanted)
        {
            var at = table.Offset + offset;
            if (offset + (long)wanted.Length >= table.Size || table.Offset + table.Size > image.Length) return false;
            for (var i = 0; i < wanted.Length; i++)
                if (image[at + i] != wanted[i]) return false;
            return image[at + wanted.Length] == 0;
        }

        private string Text(Section table, uint offset)
        {
            var text = new StringBuilder();
            for (var at = table.Offset + offset; at < image.Length && text.Length < 64; at++)
            {
                if (image[at] == 0) return text.ToString();
                text.Append((char)image[at]);
            }
            throw new LayoutException("section name without an end");
        }

        private ulong Number(long at, int width)
        {
            if (at < 0 || at > image.Length - width) throw new LayoutException("truncated");
            var value = 0ul;
            for (var i = 0; i < width; i++) value |= (ulong)image[at + i] << (8 * i);
            return value;
        }
    }
}

#if !NET
/// <summary>The build's door to the mend: makes the copy that the output folder gets instead of the package's file.</summary>
public sealed class MendNatives : Microsoft.Build.Utilities.Task
{
    /// <summary>The library in the package cache; only read.</summary>
    [Microsoft.Build.Framework.Required]
    public string Library { get; set; } = "";

    /// <summary>Where the mended (or, if no mend applies, plain) copy goes.</summary>
    [Microsoft.Build.Framework.Required]
    public string Copy { get; set; } = "";

    /// <inheritdoc/>
    public override bool Execute()
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(Copy))!);
        var result = GlibcxxMend.MendFile(Library, Copy, GlibcxxMend.SystemNeedsIt());
        Log.LogMessage(
            result.Outcome == MendOutcome.UnknownLayout ? Microsoft.Build.Framework.MessageImportance.High : Microsoft.Build.Framework.MessageImportance.Normal,
            "{0}: {1} ({2})", Path.GetFileName(Copy), result.Outcome, result.Reason);
        return true;
    }
}
#endif
