using System.IO.Hashing;
using System.Text.Json;
using Perennial.Core;
using Perennial.Core.Safetensors;

namespace Perennial.Resilience.Snapshots;

/// <summary>One tensor of a file: a stretch of the state's bytes.</summary>
/// <param name="Name">Its name in the file.</param>
/// <param name="Type">Its element type.</param>
/// <param name="Shape">Its dimensions.</param>
/// <param name="Offset">Where it begins in the state.</param>
public sealed record TensorPlace(string Name, SafetensorsType Type, IReadOnlyList<long> Shape, long Offset);

/// <summary>A safetensors file of a checkpoint.</summary>
/// <param name="Path">Relative to the checkpoint's folder.</param>
/// <param name="Tensors">Its tensors, in order.</param>
/// <param name="Metadata">Text about the file; null for none.</param>
public sealed record TensorFile(string Path, IReadOnlyList<TensorPlace> Tensors, IReadOnlyDictionary<string, string>? Metadata = null);

/// <summary>A small file that is the same in every checkpoint of the run.</summary>
/// <param name="Path">Relative to the checkpoint's folder.</param>
/// <param name="Content">Its bytes.</param>
public sealed record ConstantFile(string Path, byte[] Content);

/// <summary>A small file whose bytes are part of the state, behind their number (4 bytes, little-endian).</summary>
/// <param name="Path">Relative to the checkpoint's folder.</param>
/// <param name="Offset">Where the number is in the state.</param>
public sealed record CountedFile(string Path, long Offset);

/// <summary>
/// What makes a state's bytes a checkpoint: which stretch of them is which tensor of which file, and the small files beside. Whoever has the
/// bytes can write the folder with it, without knowing anything of models; so a snapshot manager can.
/// </summary>
public sealed record CheckpointForm
{
    /// <summary>The folder of the run's checkpoints.</summary>
    public required string Root { get; init; }

    /// <summary>How many of the newest stay.</summary>
    public required int Keep { get; init; }

    /// <summary>Bytes of the state.</summary>
    public required long StateBytes { get; init; }

    /// <summary>Files of tensors.</summary>
    public required IReadOnlyList<TensorFile> Tensors { get; init; }

    /// <summary>Files that do not change.</summary>
    public required IReadOnlyList<ConstantFile> Constants { get; init; }

    /// <summary>Files that the state holds as they are.</summary>
    public required IReadOnlyList<CountedFile> Counted { get; init; }

    /// <summary>Writes the files of a state into a folder, each durable.</summary>
    /// <param name="state">Address of <see cref="StateBytes"/> bytes.</param>
    /// <param name="folder">An empty folder.</param>
    /// <exception cref="ArgumentException">A stretch is not within the state.</exception>
    /// <exception cref="IOException">The disk is full or the folder cannot be written.</exception>
    public unsafe void Write(nint state, string folder)
    {
        foreach (var file in Tensors)
            SafetensorsWriter.Write(Place(folder, file.Path), [.. file.Tensors.Select(tensor => Within(tensor, SafetensorsTensor.At(tensor.Name, tensor.Type, tensor.Shape, state + (nint)tensor.Offset)))], file.Metadata);
        foreach (var file in Constants) AtomicFile.Write(Place(folder, file.Path), stream => stream.Write(file.Content));
        foreach (var file in Counted)
        {
            var count = Fits(file.Offset, sizeof(int)) ? *(int*)(state + (nint)file.Offset) : -1;
            if (count < 0 || !Fits(file.Offset + sizeof(int), count)) throw new ArgumentException($"the bytes of {file.Path} are not within the state");
            AtomicFile.Write(Place(folder, file.Path), stream => stream.Write(new ReadOnlySpan<byte>((byte*)state + file.Offset + sizeof(int), count)));
        }
    }

    /// <summary>The form as a manager takes it.</summary>
    public EncodedForm Encode()
    {
        var bytes = JsonSerializer.SerializeToUtf8Bytes(this);
        return new(bytes, XxHash128.HashToUInt128(bytes));
    }

    /// <summary>Reads it back.</summary>
    /// <exception cref="ArgumentException">It is no form.</exception>
    public static CheckpointForm Decode(ReadOnlySpan<byte> encoded)
    {
        try
        {
            return JsonSerializer.Deserialize<CheckpointForm>(encoded) ?? throw new ArgumentException("there is no form", nameof(encoded));
        }
        catch (JsonException error)
        {
            throw new ArgumentException($"this is no form of a checkpoint: {error.Message}", nameof(encoded), error);
        }
    }

    private static string Place(string folder, string path)
    {
        var place = Path.Combine(folder, path);
        Directory.CreateDirectory(Path.GetDirectoryName(place)!);
        return place;
    }

    private SafetensorsTensor Within(TensorPlace place, SafetensorsTensor tensor) =>
        Fits(place.Offset, tensor.ByteLength) ? tensor : throw new ArgumentException($"tensor '{place.Name}' is not within the state");

    private bool Fits(long offset, long bytes) => offset >= 0 && bytes >= 0 && offset <= StateBytes - bytes;
}

/// <summary>A form on its way to a manager, which knows it by its hash.</summary>
/// <param name="Bytes">The form.</param>
/// <param name="Hash">Their hash.</param>
public sealed record EncodedForm(ReadOnlyMemory<byte> Bytes, UInt128 Hash);
