using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;

namespace Perennial.Core.Safetensors;

/// <summary>
/// Makes one part of a file while another is written: two buffers go round between the caller and a thread that waits for the disk.
/// </summary>
/// <param name="size">Bytes of a buffer.</param>
/// <param name="put">Writes a part; called by one thread at a time, in order.</param>
internal sealed class WriteBehind(int size, Action<byte[], int> put) : IDisposable
{
    private readonly BlockingCollection<byte[]> free = new() { new byte[size], new byte[size] };
    private readonly BlockingCollection<(byte[] Buffer, int Length)> full = [];
    private Thread? thread;
    private ExceptionDispatchInfo? failure;

    /// <summary>Has a part made and hands it on.</summary>
    /// <exception cref="IOException">An earlier part could not be written.</exception>
    public void Write(int length, Action<byte[]> make)
    {
        var buffer = free.Take();
        Volatile.Read(ref failure)?.Throw();
        make(buffer);
        if (thread is null)
        {
            thread = new Thread(Run) { IsBackground = true, Name = "write behind" };
            thread.Start();
        }
        full.Add((buffer, length));
    }

    /// <summary>Returns when all parts are written.</summary>
    /// <exception cref="IOException">One could not be.</exception>
    public void Flush()
    {
        byte[][] both = [free.Take(), free.Take()];
        foreach (var buffer in both) free.Add(buffer);
        Volatile.Read(ref failure)?.Throw();
    }

    /// <summary>Ends the thread, after the part that it is at.</summary>
    public void Dispose()
    {
        full.CompleteAdding();
        thread?.Join();
        full.Dispose();
        free.Dispose();
    }

    private void Run()
    {
        foreach (var (buffer, length) in full.GetConsumingEnumerable())
        {
            try
            {
                // After a failure the rest is only taken back, so that the caller learns of it.
                if (failure is null) put(buffer, length);
            }
            catch (Exception thrown)
            {
                Volatile.Write(ref failure, ExceptionDispatchInfo.Capture(thrown));
            }
            free.Add(buffer);
        }
    }
}
