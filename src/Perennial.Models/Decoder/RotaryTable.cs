using static TorchSharp.torch;

namespace Perennial.Models;

/// <summary>
/// Cosines and sines of rotary positions as in Hugging Face's Llama: angle(t, i) = t · theta^(−2i/headWidth) for
/// i &lt; headWidth/2 (Su et al. 2021, in the <c>rotate_half</c> arrangement).
/// </summary>
public static class RotaryTable
{
    /// <summary>Float32 <c>[context, headWidth / 2]</c> cosines and sines; the caller disposes them.</summary>
    public static (Tensor Cosines, Tensor Sines) Make(int context, int headWidth, double theta)
    {
        var half = headWidth / 2;
        float[] cosines = new float[context * half], sines = new float[context * half];
        for (var i = 0; i < half; i++)
        {
            // The sources compute frequencies and angles in float32: so do we, to agree to the last bit of the table.
            var frequency = 1f / MathF.Pow((float)theta, 2f * i / headWidth);
            for (var t = 0; t < context; t++)
                (sines[t * half + i], cosines[t * half + i]) = MathF.SinCos(t * frequency);
        }
        return (tensor(cosines, context, half), tensor(sines, context, half));
    }
}
