using System.Security.Cryptography;
using CsCheck;
using Perennial.Tensors.Native;

namespace Perennial.Tensors.Tests.Native;

public sealed class GlibcxxMendTests : IDisposable
{
    private static readonly byte[] Original = SampleLibrary.Build();
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("perennial-mend-");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public void Mends_exactly_the_three_places()
    {
        var result = GlibcxxMend.Mend(Original);
        Assert.Equal(MendOutcome.Mended, result.Outcome);
        Assert.Equal(SampleLibrary.Build(), Original);
        var changed = Enumerable.Range(0, Original.Length).Where(i => Original[i] != result.Image[i]).ToArray();
        Assert.Equal(3, SampleLibrary.Regions(changed));
        Assert.InRange(changed.Length, 3, 4 + 2 + 2);
    }

    [Fact]
    public void Mending_twice_is_mending_once()
    {
        var once = GlibcxxMend.Mend(Original).Image;
        var twice = GlibcxxMend.Mend(once);
        Assert.Equal(MendOutcome.AlreadyMended, twice.Outcome);
        Assert.Same(once, twice.Image);
    }

    [Fact]
    public void A_library_without_the_requirement_needs_nothing() =>
        Assert.Equal(MendOutcome.NotNeeded, GlibcxxMend.Mend(SampleLibrary.Build(required: "GLIBCXX_3.4.30")).Outcome);

    [Fact]
    public void A_second_symbol_of_the_version_is_refused() =>
        Assert.Equal(MendOutcome.UnknownLayout, GlibcxxMend.Mend(SampleLibrary.Build(secondNewSymbol: true)).Outcome);

    [Fact]
    public void A_library_without_the_donor_is_refused() =>
        Assert.Equal(MendOutcome.UnknownLayout, GlibcxxMend.Mend(SampleLibrary.Build(donor: "_ZN2at4otherEv")).Outcome);

    [Fact]
    public void Text_files_and_empty_files_are_refused()
    {
        Assert.Equal(MendOutcome.UnknownLayout, GlibcxxMend.Mend([]).Outcome);
        Assert.Equal(MendOutcome.UnknownLayout, GlibcxxMend.Mend([.. "#!/bin/sh\necho no library\n"u8]).Outcome);
    }

    [Fact]
    public void Random_bytes_never_pass() => Gen.Byte.Array[0, 400].Sample(bytes => GlibcxxMend.Mend(bytes).Outcome == MendOutcome.UnknownLayout);

    [Fact]
    public void Every_truncation_is_refused() =>
        Gen.Int[0, Original.Length - 1].Sample(length => GlibcxxMend.Mend(Original[..length]).Outcome == MendOutcome.UnknownLayout);

    [Fact]
    public void Flipped_bits_never_crash_and_what_is_refused_stays_as_it_was() =>
        Gen.Select(Gen.Int[0, Original.Length - 1], Gen.Int[0, 7]).Array[1, 6].Sample(flips =>
        {
            var damaged = (byte[])Original.Clone();
            foreach (var (at, bit) in flips) damaged[at] ^= (byte)(1 << bit);
            var before = (byte[])damaged.Clone();
            var result = GlibcxxMend.Mend(damaged);
            Assert.Equal(before, damaged);
            if (result.Outcome != MendOutcome.Mended) Assert.Same(damaged, result.Image);
            else Assert.Equal(MendOutcome.AlreadyMended, GlibcxxMend.Mend(result.Image).Outcome);
        }, iter: 20_000);

    [Fact]
    public void Overwritten_words_never_crash() =>
        Gen.Select(Gen.Int[0, Original.Length - 8], Gen.OneOf(Gen.ULong, Gen.Int[0, 64].Select(shift => shift == 64 ? 0ul : ulong.MaxValue >> shift))).Sample((at, word) =>
        {
            var damaged = (byte[])Original.Clone();
            BitConverter.TryWriteBytes(damaged.AsSpan(at), word);
            _ = GlibcxxMend.Mend(damaged);
        }, iter: 20_000);

    [Fact]
    public void A_mended_file_replaces_a_hard_link_without_writing_through_it()
    {
        var cache = Path.Combine(folder.FullName, "cache.so");
        var output = Path.Combine(folder.FullName, "output.so");
        File.WriteAllBytes(cache, Original);
        HardLink.Create(cache, output);
        Assert.Equal(MendOutcome.Mended, GlibcxxMend.MendFile(cache, output).Outcome);
        Assert.Equal(Original, File.ReadAllBytes(cache));
        Assert.NotEqual(Original, File.ReadAllBytes(output));
        Assert.Equal(2, folder.GetFiles().Length);
    }

    [Fact]
    public void Where_no_mend_is_needed_the_copy_is_plain()
    {
        var cache = Path.Combine(folder.FullName, "cache.so");
        var output = Path.Combine(folder.FullName, "output.so");
        File.WriteAllBytes(cache, Original);
        Assert.Equal(MendOutcome.NotNeeded, GlibcxxMend.MendFile(cache, output, needed: false).Outcome);
        Assert.Equal(Original, File.ReadAllBytes(output));
    }

    [Fact]
    public void The_output_holds_a_library_that_loads_and_the_package_cache_holds_the_original()
    {
        if (!OperatingSystem.IsLinux()) return;
        var output = File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "libLibTorchSharp.so"));
        var mended = GlibcxxMend.Mend(output).Outcome == MendOutcome.AlreadyMended;
        Assert.True(mended || !GlibcxxMend.SystemNeedsIt());
        using var tensor = TorchSharp.torch.ones(3);
        Assert.Equal(3, tensor.sum().item<float>());

        // The published file of TorchSharp 0.107.0: a mend that wrote through a hard link would change it.
        var packages = Environment.GetEnvironmentVariable("NUGET_PACKAGES") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        var cached = Path.Combine(packages, "torchsharp", "0.107.0", "runtimes", "linux-x64", "native", "libLibTorchSharp.so");
        if (File.Exists(cached)) Assert.Equal("CF33B1B0BB6BBB9754A768FB5C5D04D9F498603BE50E73F55621A0B40EE608B8", Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(cached))));
    }
}
