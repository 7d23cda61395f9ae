using CsCheck;
using Perennial.Resilience.Coding;

namespace Perennial.Resilience.Tests.Coding;

public sealed class ErasureCodeTests
{
    [Fact]
    public void Parity_is_the_reference_parity_and_any_losses_up_to_m_are_rebuilt() =>
        Gen.Select(Gen.Int[1, 9], Gen.Int[1, 4], Gen.Int[0, 3000], Gen.Int[0, 63], Gen.ULong).Sample((k, m, bytes, offset, seed) =>
        {
            var code = ErasureCode.Create(k, m);
            using var stripe = new Stripe(code, bytes, offset, seed);
            stripe.Encode(threads: 1);
            for (var parity = 0; parity < m; parity++)
                Assert.Equal(Reference.Combine(stripe.Data, [.. Enumerable.Range(0, k).Select(data => code.Coefficient(parity, data))]), stripe[k + parity].ToArray());
            var lost = new Random((int)(seed % 1000003)).GetItems([.. Enumerable.Range(0, k + m)], 64).Distinct().Take((int)(seed % (ulong)m) + 1).ToArray();
            stripe.LoseAndDecode(lost);
        }, iter: 300);

    [Fact]
    public void Every_pattern_of_losses_of_six_chunks_with_three_parities_is_rebuilt()
    {
        using var stripe = new Stripe(ErasureCode.Create(3, 3), 200, 5, 1);
        stripe.Encode(threads: 1);
        for (var pattern = 1; pattern < 64; pattern++)
        {
            var lost = Enumerable.Range(0, 6).Where(chunk => (pattern >> chunk & 1) != 0).ToArray();
            if (lost.Length <= 3) stripe.LoseAndDecode(lost);
            else Assert.Throws<ArgumentException>(() => stripe.LoseAndDecode(lost));
        }
    }

    [Fact]
    public void Threads_and_pieces_change_nothing()
    {
        // 1.5 MB: several ranges of threads, several tiles, an end that is no multiple of anything.
        using var one = new Stripe(ErasureCode.Create(4, 2), 1_500_007, 3, 7);
        using var four = new Stripe(ErasureCode.Create(4, 2), 1_500_007, 9, 7);
        one.Encode(threads: 1);
        four.Encode(threads: 4);
        for (var chunk = 0; chunk < 6; chunk++) Assert.True(one[chunk].SequenceEqual(four[chunk]));
        four.LoseAndDecode([0, 5], threads: 3);
    }

    [Fact]
    public void Streaming_sizes_give_the_same_parity()
    {
        const int Bytes = (4 << 20) + 321;
        using var stripe = new Stripe(ErasureCode.Create(2, 1), Bytes, 1, 8);
        stripe.Encode(threads: 2);
        Assert.Equal(Reference.Combine([stripe.Data[0], stripe.Data[1]], [1, 1]), stripe[2].ToArray());
    }

    [Fact]
    public void Adding_shares_in_any_order_is_encoding_and_adding_twice_takes_out()
    {
        var code = ErasureCode.Create(5, 3);
        using var stripe = new Stripe(code, 777, 11, 4);
        stripe.Encode(threads: 1);
        using var gathered = new Block(777, 2, new byte[777]);
        for (var parity = 0; parity < 3; parity++)
        {
            gathered.Span.Clear();
            foreach (var data in new[] { 3, 0, 4, 1, 2 }) code.MultiplyAdd(parity, data, stripe.Address(data), gathered.Address, 777);
            Assert.True(gathered.Span.SequenceEqual(stripe[5 + parity]));
            foreach (var data in new[] { 0, 1, 2, 3, 4 }) code.MultiplyAdd(parity, data, stripe.Address(data), gathered.Address, 777, threads: 2);
            Assert.False(gathered.Span.ContainsAnyExcept((byte)0));
        }
    }

    [Fact]
    public void A_chunk_that_is_neither_there_nor_wanted_is_left_alone()
    {
        var code = ErasureCode.Create(3, 2);
        using var stripe = new Stripe(code, 100, 0, 5);
        stripe.Encode(threads: 1);
        var expected = stripe[1].ToArray();
        stripe[1].Clear();
        nint[] chunks = [stripe.Address(0), stripe.Address(1), 0, stripe.Address(3), stripe.Address(4)];
        code.Decode(chunks, [1], 100);
        Assert.Equal(expected, stripe[1].ToArray());
    }

    [Fact]
    public void One_parity_is_xor_and_wrong_counts_are_refused()
    {
        Assert.IsType<XorParity>(ErasureCode.Create(4, 1));
        Assert.IsType<ReedSolomonParity>(ErasureCode.Create(4, 2));
        Assert.Throws<ArgumentException>(() => ErasureCode.Create(2, 1).Encode([1], [2], 1));
        Assert.Throws<ArgumentException>(() => ErasureCode.Create(2, 1).Decode([1, 2], [0], 1));
    }

    [Fact]
    public void The_bench_gives_a_line_for_every_code_with_memcpy_as_its_measure()
    {
        var lines = ParityBench.Run(new() { ChunkBytes = 1 << 16, Rounds = 1, Threads = [1, 2], Codes = [(2, 1), (2, 2)] });
        Assert.Equal(2 * (1 + 1 + 2), lines.Count);
        Assert.All(lines.Where(line => line.Name == "memcpy"), line => Assert.Equal(1, line.OfCopy));
        Assert.All(lines, line => Assert.True(line.DataBytesPerSecond > 0 && line.ToString().Contains("of memcpy", StringComparison.Ordinal)));
    }

    /// <summary>k data and m parity chunks in native memory.</summary>
    private sealed class Stripe : IDisposable
    {
        private readonly IErasureCode code;
        private readonly Block[] blocks;
        private readonly int bytes;

        public Stripe(IErasureCode code, int bytes, int offset, ulong seed)
        {
            (this.code, this.bytes) = (code, bytes);
            Data = [.. Enumerable.Range(0, code.DataChunks).Select(data => Reference.Random(bytes, seed % 1000 + (ulong)data))];
            blocks = [.. Enumerable.Range(0, code.DataChunks + code.ParityChunks).Select(chunk => new Block(bytes, (offset + chunk) % 64, chunk < code.DataChunks ? Data[chunk] : null))];
        }

        public byte[][] Data { get; }

        public Span<byte> this[int chunk] => blocks[chunk].Span;

        public nint Address(int chunk) => blocks[chunk].Address;

        public void Encode(int threads) => code.Encode(Addresses().AsSpan(0, code.DataChunks), Addresses().AsSpan(code.DataChunks), bytes, threads);

        public void LoseAndDecode(int[] lost, int threads = 1)
        {
            var before = blocks.Select(block => block.Span.ToArray()).ToArray();
            foreach (var chunk in lost) blocks[chunk].Span.Fill(0xEE);
            try
            {
                code.Decode(Addresses(), lost, bytes, threads);
            }
            catch (ArgumentException)
            {
                for (var chunk = 0; chunk < blocks.Length; chunk++) before[chunk].CopyTo(blocks[chunk].Span);
                throw;
            }
            for (var chunk = 0; chunk < blocks.Length; chunk++)
            {
                Assert.True(blocks[chunk].Span.SequenceEqual(before[chunk]), $"chunk {chunk} differs after losing {string.Join(',', lost)}");
                Assert.True(blocks[chunk].GuardsHold);
            }
        }

        public void Dispose()
        {
            foreach (var block in blocks) block.Dispose();
        }

        private nint[] Addresses() => [.. blocks.Select(block => block.Address)];
    }
}
