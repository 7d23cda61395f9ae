namespace Perennial.Resilience.Coding;

/// <summary>
/// Arithmetic in GF(2^8) with the polynomial x⁸+x⁴+x³+x²+1 (0x11D), whose generator is 2. Addition is exclusive or.
/// </summary>
public static class GaloisField
{
    /// <summary>The reducing polynomial.</summary>
    public const int Polynomial = 0x11D;

    private static readonly byte[] Powers = MakePowers();
    private static readonly byte[] Logarithms = MakeLogarithms();

    /// <summary>a · b.</summary>
    public static byte Multiply(byte a, byte b) => a == 0 || b == 0 ? (byte)0 : Powers[Logarithms[a] + Logarithms[b]];

    /// <summary>1 / a.</summary>
    /// <exception cref="DivideByZeroException"><paramref name="a"/> is 0.</exception>
    public static byte Inverse(byte a) => a == 0 ? throw new DivideByZeroException("0 has no inverse in GF(2^8)") : Powers[255 - Logarithms[a]];

    /// <summary>a / b.</summary>
    /// <exception cref="DivideByZeroException"><paramref name="b"/> is 0.</exception>
    public static byte Divide(byte a, byte b) => Multiply(a, Inverse(b));

    // Twice the cycle, so that a sum of two logarithms needs no remainder.
    private static byte[] MakePowers()
    {
        var powers = new byte[512];
        var value = 1;
        for (var exponent = 0; exponent < 512; exponent++)
        {
            powers[exponent] = (byte)value;
            value <<= 1;
            if (value > 255) value ^= Polynomial;
        }
        return powers;
    }

    private static byte[] MakeLogarithms()
    {
        var logarithms = new byte[256];
        for (var exponent = 0; exponent < 255; exponent++) logarithms[Powers[exponent]] = (byte)exponent;
        return logarithms;
    }
}
