using System.Runtime.Intrinsics;
using Perennial.Tensors;

namespace Perennial.Models;

/// <summary>Looking rows of the embedding up, and adding gradients back to them.</summary>
internal static unsafe class EmbeddingRows
{
    /// <summary>x[token] = embedding[id] (+ positions[t]).</summary>
    public static void Look(long tokens, int time, int width, long* ids, float* embedding, float* positions, float* x) =>
        ThreadTeam.ForRows(tokens, 64, (first, end) =>
        {
            for (var token = first; token < end; token++)
            {
                float* source = embedding + ids[token] * width, place = positions + token % time * width, target = x + token * width;
                for (var i = 0; i < width; i += 8)
                {
                    var value = Vector256.Load(source + i);
                    (positions is null ? value : value + Vector256.Load(place + i)).Store(target + i);
                }
            }
        });

    /// <summary>gradient[rows[token]] += dx[token]; each stretch of columns is one thread's, tokens in order, so sums never race or vary.</summary>
    public static void AddBack(long tokens, int width, long* rows, float* dx, float* gradient) =>
        ThreadTeam.ForRows(width, 64, (first, end) =>
        {
            for (var token = 0L; token < tokens; token++)
            {
                float* target = gradient + rows[token] * width, source = dx + token * width;
                for (var i = first; i < end; i += 8) (Vector256.Load(target + i) + Vector256.Load(source + i)).Store(target + i);
            }
        });
}
