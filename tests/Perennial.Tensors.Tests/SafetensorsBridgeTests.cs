using Perennial.Core;
using Perennial.Core.Safetensors;
using static TorchSharp.torch;

namespace Perennial.Tensors.Tests;

public sealed class SafetensorsBridgeTests : IDisposable
{
    private readonly string path = Path.Combine(Path.GetTempPath(), $"perennial-{Guid.NewGuid():N}.safetensors");

    public void Dispose() => File.Delete(path);

    [Theory]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Int64)]
    [InlineData(ScalarType.Int32)]
    [InlineData(ScalarType.Int16)]
    [InlineData(ScalarType.Int8)]
    [InlineData(ScalarType.Byte)]
    [InlineData(ScalarType.Bool)]
    public void Tensors_of_every_type_come_back_and_convert_to_float32(ScalarType type)
    {
        using var scope = NewDisposeScope();
        var tensor = (randn(3, 5, 7) * 20).abs().to_type(type);
        SafetensorsWriter.Write(path, [tensor.ToSafetensors("x"), ones(1).ToSafetensors("y")]);
        using var file = SafetensorsFile.Open(path);
        var same = file.Read("x");
        Assert.Equal(type, same.dtype);
        Assert.True(same.Equals(tensor));
        Assert.True(file.Read("x", ScalarType.Float32).Equals(tensor.to_type(ScalarType.Float32)));
        Assert.True(file.Borrow(file["x"]).Equals(tensor));
    }

    [Fact]
    public void Types_that_the_binding_has_no_name_for_are_read_as_float32()
    {
        using var scope = NewDisposeScope();
        SafetensorsWriter.Write(path,
        [
            SafetensorsTensor.Of("u16", SafetensorsType.U16, [2], BitConverter.GetBytes(0x0003_FFFFu)),
            SafetensorsTensor.Of("u32", SafetensorsType.U32, [1], BitConverter.GetBytes(7u)),
            SafetensorsTensor.Of("u64", SafetensorsType.U64, [1], BitConverter.GetBytes(9ul)),
            SafetensorsTensor.Of("e4m3", SafetensorsType.F8_E4M3, [3], new byte[] { 0x38, 0x40, 0xB8 }),
            SafetensorsTensor.Of("e5m2", SafetensorsType.F8_E5M2, [2], new byte[] { 0x3C, 0x40 }),
        ]);
        using var file = SafetensorsFile.Open(path);
        float[] Values(string name) => file.Read(name, ScalarType.Float32).data<float>().ToArray();
        Assert.Equal([65535f, 3f], Values("u16"));
        Assert.Equal([7f], Values("u32"));
        Assert.Equal([9f], Values("u64"));
        Assert.Equal([1f, 2f, -1f], Values("e4m3"));
        Assert.Equal([1f, 2f], Values("e5m2"));
        Assert.Throws<PerennialException>(() => file.Read("u16"));
    }

    [Fact]
    public void A_flat_buffer_is_filled_through_its_views()
    {
        using var scope = NewDisposeScope();
        using var flat = new FlatParameters(FlatLayout.Of([("a", [2, 3], true), ("b", [4], false)]));
        SafetensorsWriter.Write(path, [ones(4).to_type(ScalarType.BFloat16).ToSafetensors("b"), full([2, 3], 2f).ToSafetensors("a")]);
        using var file = SafetensorsFile.Open(path);
        foreach (var entry in flat.Layout.Entries) file.ReadInto(entry.Name, flat.Value(entry.Name));
        Assert.Equal([2f, 2f, 2f, 2f, 2f, 2f, 1f, 1f, 1f, 1f], TensorMemory.Span<float>(flat.Values).ToArray());
        Assert.Contains("[4], but [2, 3] is needed", Assert.Throws<PerennialException>(() => file.ReadInto("b", flat.Value("a"))).Message);
        Assert.Contains("no tensor 'c'", Assert.Throws<PerennialException>(() => file.Read("c")).Message);
    }

    [Fact]
    public void A_transposed_destination_is_filled_right_and_a_transposed_source_refused()
    {
        using var scope = NewDisposeScope();
        var tensor = arange(6, ScalarType.Float32).view(2, 3);
        SafetensorsWriter.Write(path, [tensor.ToSafetensors("x")]);
        using var file = SafetensorsFile.Open(path);
        var destination = zeros(3, 2).t();
        file.ReadInto("x", destination);
        Assert.True(destination.Equals(tensor));
        Assert.Throws<ArgumentException>(() => tensor.t().ToSafetensors("x"));
    }

    [Fact]
    public void Spans_see_and_change_the_tensor()
    {
        using var scope = NewDisposeScope();
        var tensor = zeros(2, 2);
        TensorMemory.Span<float>(tensor)[3] = 5;
        Assert.Equal(5f, tensor[1, 1].item<float>());
        Assert.Throws<ArgumentException>(() => TensorMemory.Span<double>(tensor).Length);
        Assert.Equal(0, TensorMemory.Span<float>(zeros(0)).Length);
    }
}
