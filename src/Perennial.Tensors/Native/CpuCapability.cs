using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using System.Text;

namespace Perennial.Tensors.Native;

/// <summary>What the processor can do that matters for training.</summary>
/// <param name="Model">Its name, as it calls itself.</param>
/// <param name="Cores">Logical processors that this process may use.</param>
/// <param name="Avx2">256-bit vectors.</param>
/// <param name="Avx512">512-bit vectors.</param>
/// <param name="Avx512Bfloat16">Dot products of bfloat16 pairs.</param>
/// <param name="AmxBfloat16">Tiles of bfloat16.</param>
public sealed record CpuCapability(string Model, int Cores, bool Avx2, bool Avx512, bool Avx512Bfloat16, bool AmxBfloat16)
{
    /// <summary>Whether products of bfloat16 matrices are faster than those of float32; <c>precision: auto</c> asks this.</summary>
    public bool FastBfloat16 => Avx512Bfloat16 || AmxBfloat16;

    /// <summary>Asks the processor (CPUID; the system's support of the wide registers is included).</summary>
    public static CpuCapability Detect()
    {
        if (!X86Base.IsSupported) return new CpuCapability(RuntimeInformation.ProcessArchitecture.ToString(), Environment.ProcessorCount, false, false, false, false);
        var (leaves, _, _, _) = X86Base.CpuId(0, 0);
        var (subleaves, _, _, features) = leaves >= 7 ? X86Base.CpuId(7, 0) : default;
        var (more, _, _, _) = subleaves >= 1 ? X86Base.CpuId(7, 1) : default;
        var wide = Avx512F.IsSupported;
        return new CpuCapability(Brand(), Environment.ProcessorCount, System.Runtime.Intrinsics.X86.Avx2.IsSupported, wide, wide && (more & (1 << 5)) != 0, wide && (features & (1 << 22)) != 0);
    }

    private static string Brand()
    {
        if ((uint)X86Base.CpuId(unchecked((int)0x80000000), 0).Eax < 0x80000004) return "x86-64";
        var text = new List<byte>();
        for (var leaf = 0x80000002; leaf <= 0x80000004; leaf++)
        {
            var (a, b, c, d) = X86Base.CpuId(unchecked((int)leaf), 0);
            foreach (var register in (ReadOnlySpan<int>)[a, b, c, d]) text.AddRange(BitConverter.GetBytes(register));
        }
        return Encoding.ASCII.GetString([.. text]).TrimEnd('\0').Trim();
    }
}
