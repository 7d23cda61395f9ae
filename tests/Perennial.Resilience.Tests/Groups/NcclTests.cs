using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Perennial.Core;
using Perennial.Resilience.Groups;

namespace Perennial.Resilience.Tests.Groups;

/// <summary>What can be said about NCCL without a GPU: it is refused with its cure, and its structures and numbers are NCCL's.</summary>
public sealed class NcclTests
{
    [Fact]
    public void An_absent_library_says_what_to_install()
    {
        var error = Assert.Throws<PerennialException>(() => NcclLibrary.Open(["libnothing.so.2"], ["libcudart.so.12"]));
        Assert.Equal(ExitCode.Missing, error.Code);
        Assert.Contains("libnccl2", error.Message);
        error = Assert.Throws<PerennialException>(() => NcclLibrary.Open(["libc.so.6"], ["libc.so.6"]));
        Assert.Equal(ExitCode.Missing, error.Code);
        Assert.Contains("too old", error.Message);
    }

    [Fact]
    public void The_settings_lie_in_memory_as_nccl_reads_them()
    {
        Assert.Equal(48, Unsafe.SizeOf<NcclConfig>());
        Assert.Equal(32, (int)Marshal.OffsetOf<NcclConfig>(nameof(NcclConfig.NetworkName)));
        Assert.Equal(128, Unsafe.SizeOf<NcclUniqueId>());
        Assert.Equal(0xcafebeef, NcclConfig.NonBlocking.Magic);
    }

    [Fact]
    public void Types_and_reductions_have_nccl_s_numbers()
    {
        Assert.Equal([7, 9, 8, 4, 1], Enum.GetValues<ElementType>().Select(NcclCommunicator.Type));
        Assert.Equal([0, 2, 3], new[] { Reduction.Sum, Reduction.Max, Reduction.Min }.Select(one => NcclCommunicator.Operation(ElementType.Float32, one)));
        Assert.Throws<ArgumentException>(() => NcclCommunicator.Operation(ElementType.Int64, Reduction.Xor));
    }
}
