using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Perennial.Resilience.Coding;

/// <summary>Products of the low and of the high nibble by one constant, repeated over the vector.</summary>
internal readonly record struct NibbleTables<TVector>(TVector Low, TVector High);

/// <summary>64 bytes; multiplies with GF2P8AFFINEQB.</summary>
internal readonly unsafe struct Affine512Lane : ILane<Vector512<byte>, Vector512<byte>>
{
    public static bool IsSupported => Gfni.V512.IsSupported;

    public static int Width => 64;

    public static Vector512<byte> Zero => Vector512<byte>.Zero;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> Load(byte* address) => Vector512.Load(address);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(byte* address, Vector512<byte> value) => value.Store(address);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreStreaming(byte* address, Vector512<byte> value) => value.StoreAlignedNonTemporal(address);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> Xor(Vector512<byte> a, Vector512<byte> b) => a ^ b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> Factor(byte* entry) => Vector512.Create(*(ulong*)(entry + CoefficientTables.MatrixOffset)).AsByte();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> Multiply(Vector512<byte> value, in Vector512<byte> factor) => Gfni.V512.GaloisFieldAffineTransform(value, factor, 0);
}

/// <summary>32 bytes; multiplies with GF2P8AFFINEQB.</summary>
internal readonly unsafe struct Affine256Lane : ILane<Vector256<byte>, Vector256<byte>>
{
    public static bool IsSupported => Gfni.V256.IsSupported;

    public static int Width => 32;

    public static Vector256<byte> Zero => Vector256<byte>.Zero;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Load(byte* address) => Vector256.Load(address);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(byte* address, Vector256<byte> value) => value.Store(address);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreStreaming(byte* address, Vector256<byte> value) => value.StoreAlignedNonTemporal(address);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Xor(Vector256<byte> a, Vector256<byte> b) => a ^ b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Factor(byte* entry) => Vector256.Create(*(ulong*)(entry + CoefficientTables.MatrixOffset)).AsByte();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Multiply(Vector256<byte> value, in Vector256<byte> factor) => Gfni.V256.GaloisFieldAffineTransform(value, factor, 0);
}

/// <summary>64 bytes; looks the products of nibbles up.</summary>
internal readonly unsafe struct Shuffle512Lane : ILane<Vector512<byte>, NibbleTables<Vector512<byte>>>
{
    public static bool IsSupported => Avx512BW.IsSupported;

    public static int Width => 64;

    public static Vector512<byte> Zero => Vector512<byte>.Zero;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> Load(byte* address) => Vector512.Load(address);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(byte* address, Vector512<byte> value) => value.Store(address);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreStreaming(byte* address, Vector512<byte> value) => value.StoreAlignedNonTemporal(address);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> Xor(Vector512<byte> a, Vector512<byte> b) => a ^ b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static NibbleTables<Vector512<byte>> Factor(byte* entry) =>
        new(Avx512F.BroadcastVector128ToVector512((uint*)entry).AsByte(), Avx512F.BroadcastVector128ToVector512((uint*)(entry + CoefficientTables.HighOffset)).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> Multiply(Vector512<byte> value, in NibbleTables<Vector512<byte>> factor)
    {
        var nibble = Vector512.Create((byte)15);
        return Avx512BW.Shuffle(factor.Low, value & nibble) ^ Avx512BW.Shuffle(factor.High, (value.AsUInt16() >>> 4).AsByte() & nibble);
    }
}

/// <summary>32 bytes; looks the products of nibbles up.</summary>
internal readonly unsafe struct Shuffle256Lane : ILane<Vector256<byte>, NibbleTables<Vector256<byte>>>
{
    public static bool IsSupported => Avx2.IsSupported;

    public static int Width => 32;

    public static Vector256<byte> Zero => Vector256<byte>.Zero;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Load(byte* address) => Vector256.Load(address);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(byte* address, Vector256<byte> value) => value.Store(address);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreStreaming(byte* address, Vector256<byte> value) => value.StoreAlignedNonTemporal(address);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Xor(Vector256<byte> a, Vector256<byte> b) => a ^ b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static NibbleTables<Vector256<byte>> Factor(byte* entry) =>
        new(Avx2.BroadcastVector128ToVector256(entry), Avx2.BroadcastVector128ToVector256(entry + CoefficientTables.HighOffset));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Multiply(Vector256<byte> value, in NibbleTables<Vector256<byte>> factor)
    {
        var nibble = Vector256.Create((byte)15);
        return Avx2.Shuffle(factor.Low, value & nibble) ^ Avx2.Shuffle(factor.High, (value.AsUInt16() >>> 4).AsByte() & nibble);
    }
}

/// <summary>16 bytes on any processor with vectors (SSSE3, NEON); looks the products of nibbles up.</summary>
internal readonly unsafe struct Shuffle128Lane : ILane<Vector128<byte>, NibbleTables<Vector128<byte>>>
{
    public static bool IsSupported => Vector128.IsHardwareAccelerated;

    public static int Width => 16;

    public static Vector128<byte> Zero => Vector128<byte>.Zero;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Load(byte* address) => Vector128.Load(address);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(byte* address, Vector128<byte> value) => value.Store(address);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreStreaming(byte* address, Vector128<byte> value) => value.StoreAlignedNonTemporal(address);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Xor(Vector128<byte> a, Vector128<byte> b) => a ^ b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static NibbleTables<Vector128<byte>> Factor(byte* entry) => new(Vector128.Load(entry), Vector128.Load(entry + CoefficientTables.HighOffset));

    // Every index is below 16, where the native shuffles of all processors agree.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Multiply(Vector128<byte> value, in NibbleTables<Vector128<byte>> factor) =>
        Vector128.ShuffleNative(factor.Low, value & Vector128.Create((byte)15)) ^ Vector128.ShuffleNative(factor.High, value >>> 4);
}
