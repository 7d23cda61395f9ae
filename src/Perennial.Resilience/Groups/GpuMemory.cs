using System.Runtime.CompilerServices;

namespace Perennial.Resilience.Groups;

/// <summary>A block of a GPU's memory, for what groups of GPUs send.</summary>
public sealed unsafe class GpuMemory : IDisposable
{
    private const int AnyToAny = 4;
    private readonly NcclLibrary nccl;
    private readonly int device;

    /// <summary>Allocates.</summary>
    /// <param name="nccl">The opened libraries.</param>
    /// <param name="device">The index of the GPU.</param>
    /// <param name="bytes">The size in bytes.</param>
    /// <exception cref="InvalidOperationException">CUDA failed, as where the GPU has no room.</exception>
    public GpuMemory(NcclLibrary nccl, int device, long bytes)
    {
        ArgumentNullException.ThrowIfNull(nccl);
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        (this.nccl, this.device, Bytes) = (nccl, device, bytes);
        nint made;
        nccl.SetDevice(device);
        if (nccl.Allocate(&made, (nuint)Math.Max(1, bytes), 0) is var code and not 0) throw new InvalidOperationException($"{bytes} bytes on GPU {device}: CUDA error {code}");
        Address = made;
        Synchronize();
    }

    /// <summary>The address on the GPU.</summary>
    public nint Address { get; private set; }

    /// <summary>The size in bytes.</summary>
    public long Bytes { get; }

    /// <summary>Copies to the GPU, and waits.</summary>
    /// <exception cref="ArgumentException">The data is longer than the block.</exception>
    public void Write<T>(ReadOnlySpan<T> data) where T : unmanaged
    {
        fixed (T* source = data) Copy((nint)source, Address, Fitting(data.Length * (long)Unsafe.SizeOf<T>()));
    }

    /// <summary>Copies from the GPU, and waits.</summary>
    /// <exception cref="ArgumentException">The data is longer than the block.</exception>
    public void Read<T>(Span<T> data) where T : unmanaged
    {
        fixed (T* target = data) Copy(Address, (nint)target, Fitting(data.Length * (long)Unsafe.SizeOf<T>()));
    }

    /// <summary>Copies between any two addresses of this machine, GPU or not, and waits.</summary>
    /// <exception cref="InvalidOperationException">CUDA failed.</exception>
    public void Copy(nint source, nint target, long bytes)
    {
        nccl.SetDevice(device);
        if (nccl.Copy(target, source, (nuint)bytes, AnyToAny, 0) is var code and not 0) throw new InvalidOperationException($"copying on GPU {device}: CUDA error {code}");
        Synchronize();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Address == 0) return;
        nccl.SetDevice(device);
        nccl.Release(Address, 0);
        Address = 0;
    }

    private void Synchronize()
    {
        if (nccl.StreamSynchronize(0) is var code and not 0) throw new InvalidOperationException($"GPU {device}: CUDA error {code}");
    }

    private long Fitting(long bytes) => bytes <= Bytes ? bytes : throw new ArgumentException($"{bytes} bytes do not fit into {Bytes}");
}
