using System.Runtime.InteropServices;

namespace Perennial.Resilience.Groups;

/// <summary>The kind of memory that a group of processes sends from: this process's own, or a GPU's.</summary>
public interface ICollectiveMemory
{
    /// <summary>A block of <paramref name="bytes"/>, filled with zeros.</summary>
    nint Allocate(long bytes);

    /// <summary>Gives a block back.</summary>
    void Free(nint address);

    /// <summary>Copies, also from and to this process's own memory, and waits.</summary>
    void Copy(nint source, nint target, long bytes);
}

/// <summary>This process's own memory.</summary>
public sealed unsafe class HostCollectiveMemory : ICollectiveMemory
{
    /// <inheritdoc/>
    public nint Allocate(long bytes)
    {
        var made = NativeMemory.AlignedAlloc((nuint)bytes, 64);
        NativeMemory.Clear(made, (nuint)bytes);
        return (nint)made;
    }

    /// <inheritdoc/>
    public void Free(nint address) => NativeMemory.AlignedFree((void*)address);

    /// <inheritdoc/>
    public void Copy(nint source, nint target, long bytes) => Buffer.MemoryCopy((void*)source, (void*)target, bytes, bytes);
}

/// <summary>The memory of one GPU.</summary>
/// <param name="device">The index of the GPU.</param>
public sealed class GpuCollectiveMemory(int device) : ICollectiveMemory
{
    private readonly Dictionary<nint, GpuMemory> blocks = [];

    /// <inheritdoc/>
    public nint Allocate(long bytes)
    {
        var made = new GpuMemory(NcclLibrary.Load(), device, bytes);
        made.Write<byte>(new byte[bytes]);
        blocks.Add(made.Address, made);
        return made.Address;
    }

    /// <inheritdoc/>
    public void Free(nint address)
    {
        if (blocks.Remove(address, out var block)) block.Dispose();
    }

    /// <inheritdoc/>
    public void Copy(nint source, nint target, long bytes) => blocks.Values.First().Copy(source, target, bytes);
}
