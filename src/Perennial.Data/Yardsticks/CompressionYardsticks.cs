using System.ComponentModel;
using System.Diagnostics;
using System.IO.Compression;

namespace Perennial.Data.Yardsticks;

/// <summary>
/// Measures gzip -9, zstd -19 and, where the program is on the path, xz -9e on a text, side by side. Sizes are those of whole
/// files with their headers, as a person would see them in a folder.
/// </summary>
public static class CompressionYardsticks
{
    /// <summary>Measures all of them on the same bytes.</summary>
    /// <param name="text">The text; several documents joined as they follow one another.</param>
    /// <param name="xz">Path of the xz program; by default the one on the PATH.</param>
    public static IReadOnlyList<Yardstick> Measure(ReadOnlyMemory<byte> text, string? xz = null)
    {
        if (text.IsEmpty) return [];
        var measurements = new Func<Yardstick>[] { () => Gzip(text), () => Zstd(text), () => Xz(text, xz ?? FindOnPath("xz")) };
        var results = new Yardstick[measurements.Length];
        Parallel.For(0, measurements.Length, i => results[i] = measurements[i]());
        return results;
    }

    private static Yardstick Gzip(ReadOnlyMemory<byte> text)
    {
        using var counted = new MemoryStream();
        using (var gzip = new GZipStream(counted, CompressionLevel.SmallestSize, leaveOpen: true)) gzip.Write(text.Span);
        return Yardstick.Measured("gzip -9", counted.Length, text.Length);
    }

    private static Yardstick Zstd(ReadOnlyMemory<byte> text)
    {
        using var compressor = new ZstdSharp.Compressor(19);
        return Yardstick.Measured("zstd -19", compressor.Wrap(text.Span).Length, text.Length);
    }

    private static Yardstick Xz(ReadOnlyMemory<byte> text, string? program)
    {
        const string name = "xz -9e";
        if (program is null) return new Yardstick(name, null, null, "not measured: no xz program on the PATH (Debian: apt-get install xz-utils)");
        try
        {
            using var process = Process.Start(new ProcessStartInfo(program, ["-9e", "--stdout", "--threads=1"])
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            })!;
            var size = Task.Run(() => CountBytes(process.StandardOutput.BaseStream));
            var complaint = process.StandardError.ReadToEndAsync();
            process.StandardInput.BaseStream.Write(text.Span);
            process.StandardInput.Close();
            process.WaitForExit();
            return process.ExitCode == 0
                ? Yardstick.Measured(name, size.GetAwaiter().GetResult(), text.Length)
                : new Yardstick(name, null, null, $"not measured: {program} failed: {complaint.GetAwaiter().GetResult().Trim().ReplaceLineEndings(" ")}");
        }
        catch (Exception thrown) when (thrown is Win32Exception or IOException or InvalidOperationException)
        {
            return new Yardstick(name, null, null, $"not measured: {program}: {thrown.Message}");
        }
    }

    private static long CountBytes(Stream stream)
    {
        var buffer = new byte[1 << 16];
        var total = 0L;
        for (int read; (read = stream.Read(buffer)) > 0;) total += read;
        return total;
    }

    private static string? FindOnPath(string name)
    {
        var file = OperatingSystem.IsWindows() ? name + ".exe" : name;
        return (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .Select(folder => Path.Combine(folder, file)).FirstOrDefault(File.Exists);
    }
}
