using Perennial.Core;
using Perennial.Core.Safetensors;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models.Quantization;

/// <summary>
/// A quantized matrix as files hold it (compressed-tensors, <c>pack-quantized</c>): <c>NAME_packed</c>, 32-bit words of 4- or 8-bit integers,
/// lowest bits first, each plus half the range so that it has no sign, <c>[outputs, ⌈inputs / per word⌉]</c>; <c>NAME_scale</c>, float32
/// <c>[outputs, groups]</c>; <c>NAME_shape</c>, the two sizes. GPT-2's transposed matrices are turned to <c>[outputs, inputs]</c> first.
/// </summary>
internal static class PackedMatrix
{
    private const string Packed = "_packed", Scale = "_scale", Shape = "_shape";

    /// <summary>The plain name that a tensor of a quantized file belongs to; null where it is no part of a quantized matrix.</summary>
    public static string? PlainName(string tensor) => new[] { Packed, Scale, Shape }.Where(part => tensor.EndsWith(".weight" + part, StringComparison.Ordinal)).Select(part => tensor[..^part.Length]).FirstOrDefault();

    /// <summary>Whether a tensor holds the integers themselves.</summary>
    public static bool IsPacked(string tensor) => tensor.EndsWith(".weight" + Packed, StringComparison.Ordinal);

    /// <summary>The three tensors of a matrix.</summary>
    /// <param name="name">The plain name.</param>
    /// <param name="matrix">Float32, <c>[outputs, inputs]</c>, or <c>[inputs, outputs]</c> where <paramref name="inputFirst"/>.</param>
    /// <param name="inputFirst">Whether inputs come first.</param>
    /// <param name="scheme">The scheme.</param>
    /// <param name="search">Whether clipping is searched.</param>
    public static unsafe IEnumerable<SafetensorsTensor> Write(string name, Tensor matrix, bool inputFirst, QuantizationScheme scheme, bool search)
    {
        using var scope = NewDisposeScope();
        var turned = (inputFirst ? matrix.t() : matrix).contiguous();
        var (rows, columns) = ((int)turned.shape[0], (int)turned.shape[1]);
        var (words, groups) = ((columns + scheme.Packed - 1) / scheme.Packed, (int)scheme.Groups(columns));
        var (packed, scales) = (new uint[rows * words], new float[rows * groups]);
        var size = scheme.Group == 0 ? columns : scheme.Group;
        var start = (float*)TensorMemory.Address<float>(turned);
        ThreadTeam.ForRows(rows, 4, (first, end) =>
        {
            var codes = new sbyte[columns];
            for (var row = first; row < end; row++)
            {
                for (var group = 0; group < groups; group++)
                {
                    var length = Math.Min(size, columns - group * size);
                    scales[row * groups + group] = RoundToNearest.Group(new ReadOnlySpan<float>(start + row * columns + group * size, length), scheme, search, codes.AsSpan(group * size, length));
                }
                for (var i = 0; i < columns; i++) packed[row * words + i / scheme.Packed] |= (uint)(codes[i] + scheme.Highest + 1) << (i % scheme.Packed * scheme.Bits);
            }
        });
        return
        [
            SafetensorsTensor.Of(name + Packed, SafetensorsType.I32, [rows, words], System.Runtime.InteropServices.MemoryMarshal.AsBytes(packed.AsSpan()).ToArray()),
            SafetensorsTensor.Of(name + Scale, SafetensorsType.F32, [rows, groups], System.Runtime.InteropServices.MemoryMarshal.AsBytes(scales.AsSpan()).ToArray()),
            SafetensorsTensor.Of(name + Shape, SafetensorsType.I64, [2], System.Runtime.InteropServices.MemoryMarshal.AsBytes(new long[] { rows, columns }.AsSpan()).ToArray()),
        ];
    }

    /// <summary>Fills a float32 matrix with what a file holds of it.</summary>
    /// <param name="file">The file.</param>
    /// <param name="name">The name as the file spells it.</param>
    /// <param name="target">Where to.</param>
    /// <param name="inputFirst">Whether <paramref name="target"/> is <c>[inputs, outputs]</c>.</param>
    /// <param name="scheme">The scheme.</param>
    /// <exception cref="PerennialException">Exit 3: a part is missing or has another shape or type.</exception>
    public static unsafe void Read(SafetensorsFile file, string name, Tensor target, bool inputFirst, QuantizationScheme scheme)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var (rows, columns) = inputFirst ? ((int)target.shape[1], (int)target.shape[0]) : ((int)target.shape[0], (int)target.shape[1]);
        var (words, groups) = ((columns + scheme.Packed - 1) / scheme.Packed, (int)scheme.Groups(columns));
        var packed = Part<uint>(file, name + Packed, SafetensorsType.I32, [rows, words]);
        using var stored = file.Read(name + Scale, ScalarType.Float32);
        if (!stored.shape.SequenceEqual([rows, groups])) throw PerennialException.Damaged($"{file.Path}: tensor '{name + Scale}' is [{string.Join(", ", stored.shape)}], but [{rows}, {groups}] is needed");
        var shape = Part<long>(file, name + Shape, SafetensorsType.I64, [2]);
        if (shape[0] != rows || shape[1] != columns) throw PerennialException.Damaged($"{file.Path}: '{name + Shape}' says [{shape[0]}, {shape[1]}], the model needs [{rows}, {columns}]");
        var dense = empty(rows, columns);
        var (values, scales) = ((nint)TensorMemory.Address<float>(dense), stored.data<float>().ToArray());
        var size = scheme.Group == 0 ? columns : scheme.Group;
        ThreadTeam.ForRows(rows, 16, (first, end) =>
        {
            var mask = (1u << scheme.Bits) - 1;
            for (var row = first; row < end; row++)
                for (var i = 0; i < columns; i++)
                {
                    var code = (int)(packed[row * words + i / scheme.Packed] >> (i % scheme.Packed * scheme.Bits) & mask) - scheme.Highest - 1;
                    ((float*)values)[row * columns + i] = code * scales[row * groups + i / size];
                }
        });
        target.copy_(inputFirst ? dense.t() : dense);
    }

    private static T[] Part<T>(SafetensorsFile file, string name, SafetensorsType type, long[] shape)
        where T : unmanaged
    {
        var entry = file[name];
        if (entry.Type != type || !entry.Shape.SequenceEqual(shape))
            throw PerennialException.Damaged($"{file.Path}: tensor '{name}' is {entry.Type} [{string.Join(", ", entry.Shape)}], but {type} [{string.Join(", ", shape)}] is needed");
        return System.Runtime.InteropServices.MemoryMarshal.Cast<byte, T>(file.Bytes(entry)).ToArray();
    }
}
