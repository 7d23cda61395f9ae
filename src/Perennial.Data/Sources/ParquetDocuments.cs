using System.Runtime.CompilerServices;
using System.Text;
using Parquet;
using Parquet.Schema;
using Perennial.Core;

namespace Perennial.Data.Sources;

/// <summary>Documents of a parquet file: one row a document, the text in one column, row group after row group. Numeric columns become scores.</summary>
public static class ParquetDocuments
{
    /// <summary>Reads a parquet file (null texts are passed over; rows that are not UTF-8 are malformed).</summary>
    /// <exception cref="PerennialException">Exit 3: broken file, no such column, a column that is not text, text that is not UTF-8.</exception>
    public static async IAsyncEnumerable<Document> Read(string path, string name, string field, Action<MalformedRecord> malformed, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        await using var stream = await Seekable(path, cancellation).ConfigureAwait(false);
        await using var reader = await Guard(path, () =>
        {
            ParquetStructure.CheckFooter(stream);
            stream.Position = 0;
            return InTime(() => ParquetReader.CreateAsync(stream, cancellationToken: cancellation), stream.Length, cancellation);
        }).ConfigureAwait(false);
        // Columns inside lists and structures have other lengths than the table.
        var columns = await Guard(path, () => Task.FromResult(reader.Schema.GetDataFields().Where(column => column.Path.Length == 1 && column.MaxRepetitionLevel == 0).ToList())).ConfigureAwait(false);
        var column = columns.FirstOrDefault(candidate => candidate.Name == field)
            ?? throw PerennialException.Damaged($"{path}: has no column '{field}'; it has {string.Join(", ", columns.Select(candidate => $"'{candidate.Name}'"))} (choose one with 'field')");
        if (!IsText(column) && !IsBytes(column)) throw PerennialException.Damaged($"{path}: column '{field}' is not text but {column.ClrType.Name}");
        var row = 0L;
        var groups = await Guard(path, () => Task.FromResult(reader.RowGroupCount)).ConfigureAwait(false);
        for (var number = 0; number < groups; number++)
        {
            var group = await Guard(path, () =>
            {
                if (reader.Metadata is { } metadata) ParquetStructure.CheckPages(stream, metadata.RowGroups[number]);
                return InTime(() => ReadGroup(reader, number, column, columns, cancellation), stream.Length, cancellation);
            }).ConfigureAwait(false);
            for (var i = 0; i < group.Texts.Length; i++)
            {
                row++;
                if (group.Texts[i] is not { } text) continue;
                if (Utf8Check.Problem(text, $"{name}: row {row}", 0) is { } problem)
                {
                    DocumentSource.Refuse(malformed, new MalformedRecord(name, row, -1, text.Length, "not UTF-8", problem));
                    continue;
                }
                var scores = new Dictionary<string, double>(StringComparer.Ordinal);
                foreach (var (score, values) in group.Scores)
                {
                    if (values[i] is { } value) scores[score] = value;
                }
                yield return new Document(text, new Provenance(name, row - 1, row)) { Scores = scores };
            }
        }
    }

    private const double SlowestBytesPerSecond = 1e6;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private sealed record Group(byte[]?[] Texts, IReadOnlyList<(string Name, double?[] Values)> Scores);

    private static bool IsText(DataField column) => column.ClrType == typeof(string) || column.ClrType == typeof(ReadOnlyMemory<char>);

    private static bool IsBytes(DataField column) => column.ClrType == typeof(byte[]) || column.ClrType == typeof(ReadOnlyMemory<byte>);

    private static async Task<Group> ReadGroup(ParquetReader reader, int number, DataField column, IEnumerable<DataField> columns, CancellationToken cancellation)
    {
        using var rows = reader.OpenRowGroupReader(number);
        var count = checked((int)rows.RowCount);
        var texts = new byte[]?[count];
        if (IsBytes(column))
            await rows.ReadAsync(column, texts.AsMemory()!, null, cancellation).ConfigureAwait(false);
        else
        {
            var strings = new string?[count];
            await rows.ReadAsync(column, strings.AsMemory()!, null, cancellation).ConfigureAwait(false);
            for (var i = 0; i < count; i++) texts[i] = strings[i] is { } text ? Encoding.UTF8.GetBytes(text) : null;
        }
        var scores = new List<(string, double?[])>();
        foreach (var candidate in columns)
        {
            if (await Numbers(rows, candidate, count, cancellation).ConfigureAwait(false) is { } values) scores.Add((candidate.Name, values));
        }
        return new Group(texts, scores);
    }

    private static async Task<double?[]?> Numbers(ParquetRowGroupReader rows, DataField column, int count, CancellationToken cancellation) => column.ClrType switch
    {
        var type when type == typeof(double) => await Column<double>(rows, column, count, value => value, cancellation).ConfigureAwait(false),
        var type when type == typeof(float) => await Column<float>(rows, column, count, value => value, cancellation).ConfigureAwait(false),
        var type when type == typeof(int) => await Column<int>(rows, column, count, value => value, cancellation).ConfigureAwait(false),
        var type when type == typeof(long) => await Column<long>(rows, column, count, value => value, cancellation).ConfigureAwait(false),
        _ => null,
    };

    private static async Task<double?[]> Column<T>(ParquetRowGroupReader rows, DataField column, int count, Func<T, double> convert, CancellationToken cancellation)
        where T : struct
    {
        if (column.IsNullable)
        {
            var values = new T?[count];
            await rows.ReadAsync<T>(column, values.AsMemory(), null, cancellation).ConfigureAwait(false);
            return Array.ConvertAll(values, value => value is { } number ? convert(number) : (double?)null);
        }
        var plain = new T[count];
        await rows.ReadAsync(column, plain.AsMemory(), null, cancellation).ConfigureAwait(false);
        return Array.ConvertAll(plain, value => (double?)convert(value));
    }

    /// <summary>
    /// The library reads some damaged structures without end and cannot be stopped: what takes longer than any sound file of that size is given up, its
    /// thread left behind.
    /// </summary>
    private static Task<T> InTime<T>(Func<Task<T>> read, long bytes, CancellationToken cancellation) => Task.Run(read, cancellation).WaitAsync(Patience + TimeSpan.FromSeconds(bytes / SlowestBytesPerSecond), cancellation);

    private static async Task<T> Guard<T>(string path, Func<Task<T>> read)
    {
        try
        {
            return await read().ConfigureAwait(false);
        }
        catch (Exception error) when (error is not PerennialException and not OperationCanceledException)
        {
            throw PerennialException.Damaged($"{path}: broken parquet file: {error.Message.ReplaceLineEndings(" ")}; fetch or write it again", error);
        }
    }

    /// <summary>Parquet is read from its end: a compressed file is unpacked into a temporary one first.</summary>
    private static async Task<Stream> Seekable(string path, CancellationToken cancellation)
    {
        var stream = SourceStream.Open(path);
        if (stream.CanSeek) return stream;
        await using (stream)
        {
            var unpacked = new FileStream(Path.Combine(Path.GetTempPath(), Path.GetRandomFileName()), FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, 1 << 16, FileOptions.DeleteOnClose);
            try
            {
                await stream.CopyToAsync(unpacked, cancellation).ConfigureAwait(false);
                unpacked.Position = 0;
                return unpacked;
            }
            catch
            {
                await unpacked.DisposeAsync().ConfigureAwait(false);
                throw;
            }
        }
    }
}
