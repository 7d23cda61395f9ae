using System.Runtime.Intrinsics;
using Perennial.Tensors;

namespace Perennial.Models;

/// <summary>Looking rows of the embedding up, and adding gradients back to them.</summary>
internal static unsafe class EmbeddingRows
{
    /// <summary>x[token] = embedding[id − firstRow] (+ positions[t]); zeros for an id that is not among the rows here.</summary>
    public static void Look(long tokens, int time, int width, long* ids, long firstRow, long rows, float* embedding, float* positions, float* x) =>
        ThreadTeam.ForRows(tokens, 64, (first, end) =>
        {
            for (var token = first; token < end; token++)
            {
                var row = ids[token] - firstRow;
                var isHere = (ulong)row < (ulong)rows;
                float* source = embedding + row * width, place = positions + token % time * width, target = x + token * width;
                for (var i = 0; i < width; i += 8)
                {
                    var value = isHere ? Vector256.Load(source + i) : Vector256<float>.Zero;
                    (positions is null ? value : value + Vector256.Load(place + i)).Store(target + i);
                }
            }
        });

    /// <summary>gradient[ids[token] − firstRow] += dx[token] for rows that are here; each stretch of columns is one thread's, tokens in order, so sums never race or vary.</summary>
    public static void AddBack(long tokens, int width, long* ids, long firstRow, long rows, float* dx, float* gradient) =>
        ThreadTeam.ForRows(width, 64, (first, end) =>
        {
            for (var token = 0L; token < tokens; token++)
            {
                var row = ids[token] - firstRow;
                if ((ulong)row >= (ulong)rows) continue;
                float* target = gradient + row * width, source = dx + token * width;
                for (var i = first; i < end; i += 8) (Vector256.Load(target + i) + Vector256.Load(source + i)).Store(target + i);
            }
        });
}
