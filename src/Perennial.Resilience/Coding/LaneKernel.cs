namespace Perennial.Resilience.Coding;

/// <summary>One vector width and one way to multiply by a constant. Implemented by structs, so that the just-in-time compiler makes a loop of its own for each.</summary>
internal unsafe interface ILane<TVector, TFactor>
{
    static abstract int Width { get; }

    static abstract TVector Zero { get; }

    static abstract TVector Load(byte* address);

    static abstract void Store(byte* address, TVector value);

    static abstract void StoreStreaming(byte* address, TVector value);

    static abstract TVector Xor(TVector a, TVector b);

    /// <summary>Makes a constant's operand from its entry in <see cref="CoefficientTables"/>.</summary>
    static abstract TFactor Factor(byte* entry);

    static abstract TVector Multiply(TVector value, in TFactor factor);
}

/// <summary>The loops, once for all lanes: four vectors at a time, then one, then bytes.</summary>
internal sealed unsafe class LaneKernel<TVector, TFactor, TLane>(string name) : ICodeKernel
    where TVector : unmanaged
    where TFactor : unmanaged
    where TLane : struct, ILane<TVector, TFactor>
{
    public string Name { get; } = name;

    public void Combine(nint destination, ReadOnlySpan<nint> sources, ReadOnlySpan<byte> coefficients, long bytes, bool accumulate, bool streaming)
    {
        // Terms with coefficient 0 fall out; what is left decides between the plain sum and the general one.
        var from = stackalloc byte*[sources.Length];
        var entries = stackalloc byte*[sources.Length];
        var (count, plain) = (0, true);
        for (var s = 0; s < sources.Length; s++)
        {
            if (coefficients[s] == 0) continue;
            from[count] = (byte*)sources[s];
            entries[count++] = CoefficientTables.Entry(coefficients[s]);
            plain &= coefficients[s] == 1;
        }
        var to = (byte*)destination;
        var start = 0L;
        if (streaming)
        {
            // Stores past the caches need an aligned address.
            start = Math.Min(bytes, (TLane.Width - (long)((nuint)to % (nuint)TLane.Width)) % TLane.Width);
            ScalarKernel.Run(to, from, entries, count, 0, start, accumulate);
        }
        var done = plain ? Sum(to, from, count, start, bytes, accumulate, streaming) : Products(to, from, entries, count, start, bytes, accumulate, streaming);
        ScalarKernel.Run(to, from, entries, count, done, bytes, accumulate);
        if (streaming && System.Runtime.Intrinsics.X86.Sse.IsSupported) System.Runtime.Intrinsics.X86.Sse.StoreFence();
    }

    private static long Sum(byte* to, byte** from, int count, long start, long end, bool accumulate, bool streaming)
    {
        var width = TLane.Width;
        var i = start;
        for (; i + 4 * width <= end; i += 4 * width)
        {
            var (a, b, c, d) = accumulate ? Load4(to + i) : (TLane.Zero, TLane.Zero, TLane.Zero, TLane.Zero);
            for (var s = 0; s < count; s++)
            {
                var p = from[s] + i;
                a = TLane.Xor(a, TLane.Load(p));
                b = TLane.Xor(b, TLane.Load(p + width));
                c = TLane.Xor(c, TLane.Load(p + 2 * width));
                d = TLane.Xor(d, TLane.Load(p + 3 * width));
            }
            Store4(to + i, a, b, c, d, streaming);
        }
        for (; i + width <= end; i += width)
        {
            var a = accumulate ? TLane.Load(to + i) : TLane.Zero;
            for (var s = 0; s < count; s++) a = TLane.Xor(a, TLane.Load(from[s] + i));
            TLane.Store(to + i, a);
        }
        return i;
    }

    private static long Products(byte* to, byte** from, byte** entries, int count, long start, long end, bool accumulate, bool streaming)
    {
        var width = TLane.Width;
        var i = start;
        for (; i + 4 * width <= end; i += 4 * width)
        {
            var (a, b, c, d) = accumulate ? Load4(to + i) : (TLane.Zero, TLane.Zero, TLane.Zero, TLane.Zero);
            for (var s = 0; s < count; s++)
            {
                var p = from[s] + i;
                var factor = TLane.Factor(entries[s]);
                a = TLane.Xor(a, TLane.Multiply(TLane.Load(p), factor));
                b = TLane.Xor(b, TLane.Multiply(TLane.Load(p + width), factor));
                c = TLane.Xor(c, TLane.Multiply(TLane.Load(p + 2 * width), factor));
                d = TLane.Xor(d, TLane.Multiply(TLane.Load(p + 3 * width), factor));
            }
            Store4(to + i, a, b, c, d, streaming);
        }
        for (; i + width <= end; i += width)
        {
            var a = accumulate ? TLane.Load(to + i) : TLane.Zero;
            for (var s = 0; s < count; s++) a = TLane.Xor(a, TLane.Multiply(TLane.Load(from[s] + i), TLane.Factor(entries[s])));
            TLane.Store(to + i, a);
        }
        return i;
    }

    private static (TVector, TVector, TVector, TVector) Load4(byte* p) =>
        (TLane.Load(p), TLane.Load(p + TLane.Width), TLane.Load(p + 2 * TLane.Width), TLane.Load(p + 3 * TLane.Width));

    private static void Store4(byte* p, TVector a, TVector b, TVector c, TVector d, bool streaming)
    {
        var width = TLane.Width;
        if (streaming)
        {
            TLane.StoreStreaming(p, a);
            TLane.StoreStreaming(p + width, b);
            TLane.StoreStreaming(p + 2 * width, c);
            TLane.StoreStreaming(p + 3 * width, d);
            return;
        }
        TLane.Store(p, a);
        TLane.Store(p + width, b);
        TLane.Store(p + 2 * width, c);
        TLane.Store(p + 3 * width, d);
    }
}

/// <summary>Byte by byte with the nibble tables: other kernels' ends, and all of it where there are no vectors.</summary>
internal sealed unsafe class ScalarKernel : ICodeKernel
{
    public string Name => "scalar";

    public void Combine(nint destination, ReadOnlySpan<nint> sources, ReadOnlySpan<byte> coefficients, long bytes, bool accumulate, bool streaming)
    {
        var from = stackalloc byte*[sources.Length];
        var entries = stackalloc byte*[sources.Length];
        for (var s = 0; s < sources.Length; s++)
        {
            from[s] = (byte*)sources[s];
            entries[s] = CoefficientTables.Entry(coefficients[s]);
        }
        Run((byte*)destination, from, entries, sources.Length, 0, bytes, accumulate);
    }

    public static void Run(byte* to, byte** from, byte** entries, int count, long start, long end, bool accumulate)
    {
        for (var i = start; i < end; i++)
        {
            var sum = accumulate ? to[i] : 0;
            for (var s = 0; s < count; s++)
            {
                var value = from[s][i];
                sum ^= entries[s][value & 15] ^ entries[s][CoefficientTables.HighOffset + (value >> 4)];
            }
            to[i] = (byte)sum;
        }
    }
}
