using System.Runtime.Intrinsics;
using Perennial.Tensors;

namespace Perennial.Models;

/// <summary>
/// The feed-forward part's nonlinearity: SwiGLU, silu(gate)·up, or GELU in its tanh form. Backward computes the forward
/// value again instead of keeping it.
/// </summary>
/// <typeparam name="T">Storage.</typeparam>
internal static unsafe class Activation<T>
    where T : struct, IStorage
{
    private const int Piece = 16;

    /// <summary>a = silu(g) · u; <paramref name="input"/> rows are [g, u].</summary>
    public static void SwiGlu(long rows, int inner, void* input, void* output) =>
        ThreadTeam.ForRows(rows, Piece, (first, end) =>
        {
            for (var row = first; row < end; row++)
                for (var i = 0; i < inner; i += 8)
                {
                    var gate = T.Load(input, row * 2 * inner + i);
                    T.Store(output, row * inner + i, gate * VectorMath.Sigmoid(gate) * T.Load(input, row * 2 * inner + inner + i));
                }
        });

    /// <summary>In place: <paramref name="input"/> becomes its gradient, <paramref name="slope"/> (the gradient of a) becomes a.</summary>
    public static void SwiGluBackward(long rows, int inner, void* input, void* slope) =>
        ThreadTeam.ForRows(rows, Piece, (first, end) =>
        {
            for (var row = first; row < end; row++)
                for (var i = 0; i < inner; i += 8)
                {
                    long gateAt = row * 2 * inner + i, upAt = gateAt + inner, at = row * inner + i;
                    var (gate, up, da) = (T.Load(input, gateAt), T.Load(input, upAt), T.Load(slope, at));
                    var sigmoid = VectorMath.Sigmoid(gate);
                    var silu = gate * sigmoid;
                    // d silu / dg = s + g·s·(1 − s)
                    T.Store(input, gateAt, da * up * Vector256.FusedMultiplyAdd(silu, Vector256<float>.One - sigmoid, sigmoid));
                    T.Store(input, upAt, da * silu);
                    T.Store(slope, at, silu * up);
                }
        });

    /// <summary>a = gelu(u + bias), tanh form: u/2·(1 + tanh(√(2/π)·(u + 0.044715·u³))).</summary>
    public static void Gelu(long rows, int inner, void* input, float* bias, void* output) =>
        ThreadTeam.ForRows(rows, Piece, (first, end) =>
        {
            for (var row = first; row < end; row++)
                for (var i = 0; i < inner; i += 8)
                {
                    var u = T.Load(input, row * inner + i) + Vector256.Load(bias + i);
                    var half = u * 0.5f;
                    T.Store(output, row * inner + i, Vector256.FusedMultiplyAdd(half, Inner(u), half));
                }
        });

    /// <summary>In place: <paramref name="input"/> becomes its gradient, <paramref name="slope"/> (the gradient of a) becomes a.</summary>
    public static void GeluBackward(long rows, int inner, void* input, float* bias, void* slope) =>
        ThreadTeam.ForRows(rows, Piece, (first, end) =>
        {
            for (var row = first; row < end; row++)
                for (var i = 0; i < inner; i += 8)
                {
                    var at = row * inner + i;
                    var (u, da) = (T.Load(input, at) + Vector256.Load(bias + i), T.Load(slope, at));
                    var tanh = Inner(u);
                    var half = u * 0.5f;
                    var rise = Vector256.FusedMultiplyAdd(u * u, Vector256.Create(Root * 3 * Cubic), Vector256.Create(Root));
                    var derivative = Vector256.FusedMultiplyAdd(half * rise, Vector256<float>.One - tanh * tanh, Vector256.Create(0.5f) + tanh * 0.5f);
                    T.Store(input, at, da * derivative);
                    T.Store(slope, at, Vector256.FusedMultiplyAdd(half, tanh, half));
                }
        });

    private const float Root = 0.7978845608f, Cubic = 0.044715f;

    private static Vector256<float> Inner(Vector256<float> u) =>
        VectorMath.Tanh(u * Vector256.FusedMultiplyAdd(u * u, Vector256.Create(Root * Cubic), Vector256.Create(Root)));
}
