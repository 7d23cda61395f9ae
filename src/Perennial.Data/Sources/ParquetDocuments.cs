using System.Runtime.CompilerServices;
using System.Text;
using Parquet;
using Parquet.Schema;
using Perennial.Core;

namespace Perennial.Data.Sources;

/// <summary>Documents of a parquet file: one row a document, the text in one column; row group after row group.</summary>
public static class ParquetDocuments
{
    /// <summary>Reads a parquet file (null texts are passed over).</summary>
    public static async IAsyncEnumerable<Document> Read(string path, string field, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        await using var stream = await Seekable(path, cancellation).ConfigureAwait(false);
        await using var reader = await Guard(path, () => ParquetReader.CreateAsync(stream, cancellationToken: cancellation)).ConfigureAwait(false);
        var columns = reader.Schema.GetDataFields();
        var column = columns.FirstOrDefault(candidate => candidate.Name == field)
            ?? throw PerennialException.Usage($"{path}: has no column '{field}'; it has {string.Join(", ", columns.Select(candidate => candidate.Name))}");
        var isBytes = column.ClrType == typeof(byte[]) || column.ClrType == typeof(ReadOnlyMemory<byte>);
        if (!isBytes && column.ClrType != typeof(string) && column.ClrType != typeof(ReadOnlyMemory<char>)) throw PerennialException.Damaged($"{path}: column '{field}' is not text but {column.ClrType.Name}");
        var row = 0L;
        for (var group = 0; group < reader.RowGroupCount; group++)
        {
            var number = group;
            var texts = await Guard(path, () => ReadGroup(reader, number, column, isBytes, cancellation)).ConfigureAwait(false);
            foreach (var text in texts)
            {
                row++;
                if (text is not null) yield return new Document(text, new Provenance(path, row - 1, row));
            }
        }
    }

    private static async Task<IReadOnlyList<byte[]?>> ReadGroup(ParquetReader reader, int group, DataField column, bool isBytes, CancellationToken cancellation)
    {
        using var rows = reader.OpenRowGroupReader(group);
        var count = checked((int)rows.RowCount);
        if (isBytes)
        {
            var bytes = new byte[]?[count];
            await rows.ReadAsync(column, bytes.AsMemory()!, null, cancellation).ConfigureAwait(false);
            return bytes;
        }
        var texts = new string?[count];
        await rows.ReadAsync(column, texts.AsMemory()!, null, cancellation).ConfigureAwait(false);
        return [.. texts.Select(text => text is null ? null : Encoding.UTF8.GetBytes(text))];
    }

    private static async Task<T> Guard<T>(string path, Func<Task<T>> read)
    {
        try
        {
            return await read().ConfigureAwait(false);
        }
        catch (Exception error) when (error is not PerennialException and not OperationCanceledException and not OutOfMemoryException)
        {
            throw PerennialException.Damaged($"{path}: broken parquet file: {error.Message.ReplaceLineEndings(" ")}", error);
        }
    }

    /// <summary>Parquet is read from its end: a compressed file is unpacked into memory first.</summary>
    private static async Task<Stream> Seekable(string path, CancellationToken cancellation)
    {
        var stream = SourceStream.Open(path);
        if (stream.CanSeek) return stream;
        await using (stream)
        {
            var memory = new MemoryStream();
            await stream.CopyToAsync(memory, cancellation).ConfigureAwait(false);
            memory.Position = 0;
            return memory;
        }
    }
}
