using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Perennial.Resilience.Coding;

namespace Perennial.Resilience.Tests.Coding;

public sealed class KernelTests
{
    public static TheoryData<string> Names => [.. CodeKernels.Supported.Select(kernel => kernel.Name)];

    private static ICodeKernel Kernel(string name) => CodeKernels.Supported.Single(kernel => kernel.Name == name);

    [Fact]
    public void The_kernels_offered_are_those_of_this_processor()
    {
        var names = CodeKernels.Supported.Select(kernel => kernel.Name).ToList();
        Assert.Equal("scalar", names[^1]);
        Assert.Equal(Gfni.V512.IsSupported, names.Contains("gfni-512"));
        Assert.Equal(Gfni.V256.IsSupported, names.Contains("gfni-256"));
        Assert.Equal(Avx512BW.IsSupported, names.Contains("shuffle-512"));
        Assert.Equal(Avx2.IsSupported, names.Contains("shuffle-256"));
        Assert.Equal(Vector128.IsHardwareAccelerated, names.Contains("shuffle-128"));
    }

    /// <summary>Every length mod 64 below and above four of the widest vectors, every kind of start, both kinds of store, both kinds of sum.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void Every_length_and_start_gives_the_reference_result(string name)
    {
        var kernel = Kernel(name);
        var sources = Enumerable.Range(0, 3).Select(s => Reference.Random(700, (ulong)s)).ToArray();
        byte[][] factors = [[1, 1, 1], [1, 70, 0], [217, 92, 172]];
        var start = Reference.Random(700, 9);
        for (var length = 0; length <= 384; length++)
            foreach (var offset in new[] { 0, 1, 17, 63 })
            {
                var variant = length * 4 + offset;
                var (coefficients, accumulate, streaming) = (factors[length % 3], (variant / 3 & 1) == 0, (length / 2 & 1) == 0);
                Check(kernel, [.. sources.Select(source => source[..length])], coefficients, offset, accumulate ? start[..length] : null, streaming);
                Check(kernel, [.. sources.Select(source => source[..length])], coefficients, offset, accumulate ? null : start[..length], !streaming);
            }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Every_coefficient_gives_the_reference_result(string name)
    {
        var every = Enumerable.Range(0, 320).Select(value => (byte)value).ToArray();
        for (var coefficient = 0; coefficient < 256; coefficient++) Check(Kernel(name), [every], [(byte)coefficient], coefficient % 64, null, false);
    }

    private static void Check(ICodeKernel kernel, byte[][] sources, byte[] coefficients, int offset, byte[]? start, bool streaming)
    {
        var length = sources[0].Length;
        using var destination = new Block(length, offset, start ?? Reference.Random(length, 77));
        var blocks = sources.Select((source, index) => new Block(length, (offset * 5 + index * 7) % 64, source)).ToArray();
        kernel.Combine(destination.Address, [.. blocks.Select(block => block.Address)], coefficients, length, start is not null, streaming);
        var expected = Reference.Combine(sources, coefficients, start);
        if (!destination.Span.SequenceEqual(expected)) Assert.Fail($"{kernel.Name}: wrong at length {length}, offset {offset}, accumulate {start is not null}, streaming {streaming}");
        Assert.True(destination.GuardsHold, $"{kernel.Name}: wrote outside at length {length}, offset {offset}");
        foreach (var block in blocks) block.Dispose();
    }
}
