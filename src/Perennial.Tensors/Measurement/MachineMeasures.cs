namespace Perennial.Tensors;

/// <summary>How thoroughly <see cref="MachineProbe"/> measures, and where.</summary>
public sealed record MachineProbeOptions
{
    /// <summary>Less than 3 seconds on an idle machine with 2 cores instead of about 15: fewer, smaller and shorter measurements.</summary>
    public bool Quick { get; init; } = true;

    /// <summary>The folder whose disk is measured by writing a file and deleting it again; null measures none.</summary>
    public string? Folder { get; init; }
}

/// <summary>Speed of one matrix product.</summary>
/// <param name="Rows">Rows of the left factor (tokens).</param>
/// <param name="Inner">The dimension that is summed over.</param>
/// <param name="Columns">Columns of the result.</param>
/// <param name="FlopsPerSecond">2 · rows · inner · columns / median time.</param>
public sealed record ProductSpeed(int Rows, int Inner, int Columns, double FlopsPerSecond);

/// <summary>What this machine can do at best: the measure of utilization.</summary>
/// <param name="Float32">Products of float32 matrices, by shape.</param>
/// <param name="Bfloat16">Products of bfloat16 matrices, by shape.</param>
/// <param name="CopyBytesPerSecond">Bytes read plus bytes written a second when a large tensor is copied.</param>
/// <param name="DiskBytesPerSecond">Bytes a second that reach the disk, flush included; null when no folder was given.</param>
/// <param name="MemoryBytes">Memory that this process may use (a container's limit counts).</param>
/// <param name="AvailableBytes">Memory free now; null where the system does not tell.</param>
/// <param name="Cores">Logical processors that this process may use.</param>
/// <param name="Threads">Threads that the measurements ran on.</param>
public sealed record MachineMeasures(
    IReadOnlyList<ProductSpeed> Float32, IReadOnlyList<ProductSpeed> Bfloat16, double CopyBytesPerSecond, double? DiskBytesPerSecond,
    long MemoryBytes, long? AvailableBytes, int Cores, int Threads)
{
    /// <summary>FLOP/s of the fastest float32 shape: the ceiling of a float32 step.</summary>
    public double Float32Ceiling => Float32.Max(product => product.FlopsPerSecond);

    /// <summary>FLOP/s of the fastest bfloat16 shape; below <see cref="Float32Ceiling"/> where the processor has no bfloat16 unit.</summary>
    public double Bfloat16Ceiling => Bfloat16.Max(product => product.FlopsPerSecond);

    /// <summary>The ceiling of a precision.</summary>
    public double Ceiling(Precision precision) => precision == Precision.Bfloat16 ? Bfloat16Ceiling : Float32Ceiling;
}
