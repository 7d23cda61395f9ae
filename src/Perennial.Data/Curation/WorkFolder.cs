using System.Text.Json;
using Perennial.Core;

namespace Perennial.Data.Curation;

/// <summary>
/// Tasks of a preparation that any number of threads and processes share through one folder: a task is claimed by locking a file
/// (the lock falls with its process), and done when its small result is there. Killing a process loses at most its present task.
/// </summary>
/// <param name="Path">The folder.</param>
/// <param name="Cancellation">Asks to stop.</param>
internal sealed record WorkFolder(string Path, CancellationToken Cancellation)
{
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(50);

    /// <summary>
    /// What the tasks make together, a folder or null. Whoever made it clears the work away after, so a task that seems not to be done is over once
    /// this is there: who comes to it gets an <see cref="IOException"/>, as where the work folder is gone already.
    /// </summary>
    public string? Product { get; init; }

    /// <summary>The path of a file of the folder.</summary>
    public string File(string name) => System.IO.Path.Combine(Path, name);

    /// <summary>Whether a task is done.</summary>
    public bool IsDone(string task) => System.IO.File.Exists(File(task + ".done"));

    /// <summary>The result of a task that is done.</summary>
    public T Result<T>(string task) => JsonSerializer.Deserialize<T>(System.IO.File.ReadAllBytes(File(task + ".done")))
        ?? throw PerennialException.Damaged($"{File(task + ".done")}: half-prepared data is damaged; delete the folder '{Path}' and run again");

    /// <summary>Does every task that is not done yet, on several threads and beside other processes; returns when all are done, by whomever.</summary>
    /// <param name="tasks">Names.</param>
    /// <param name="threads">Tasks at a time in this process.</param>
    /// <param name="work">Does one task and returns its result, which must not depend on who does it.</param>
    public void Complete<T>(IReadOnlyList<string> tasks, int threads, Func<int, T> work)
    {
        var done = new bool[tasks.Count];
        using var failed = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        Exception? first = null;
        void Work(int worker)
        {
            try
            {
                while (true)
                {
                    var (open, worked) = (false, false);
                    for (var i = 0; i < tasks.Count; i++)
                    {
                        failed.Token.ThrowIfCancellationRequested();
                        if (Volatile.Read(ref done[i])) continue;
                        if (IsDone(tasks[i])) { Volatile.Write(ref done[i], true); continue; }
                        if (TryDo(tasks[i], i, work)) { Volatile.Write(ref done[i], true); worked = true; }
                        else open = true;
                    }
                    if (!open) return;
                    if (!worked) failed.Token.WaitHandle.WaitOne(Patience);
                }
            }
            catch (Exception error)
            {
                if (error is not OperationCanceledException || first is null) Interlocked.CompareExchange(ref first, error, null);
                failed.Cancel();
            }
        }
        var workers = Enumerable.Range(1, Math.Max(0, Math.Min(threads, tasks.Count) - 1)).Select(worker =>
        {
            // Threads of their own: tasks wait for files, and within them work is shared out over the pool.
            var thread = new Thread(() => Work(worker)) { IsBackground = true, Name = $"curation {worker}" };
            thread.Start();
            return thread;
        }).ToList();
        Work(0);
        foreach (var worker in workers) worker.Join();
        Cancellation.ThrowIfCancellationRequested();
        if (first is not null) System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(first);
    }

    /// <summary>Does one task unless it is done; waits when another does it.</summary>
    public T Once<T>(string task, Func<T> work)
    {
        Complete([task], 1, _ => work());
        return Result<T>(task);
    }

    /// <summary>Writes a file of the folder: whole or absent. Not forced to disk: what a power cut could lose is found by its checksum or its absence.</summary>
    public static void Write(string path, Action<FileStream> write)
    {
        var partial = path + AtomicFile.TemporarySuffix;
        using (var stream = new FileStream(partial, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 18)) write(stream);
        System.IO.File.Move(partial, path, overwrite: true);
    }

    private bool TryDo<T>(string task, int number, Func<int, T> work)
    {
        var lockPath = File(task + ".lock");
        FileStream claim;
        try
        {
            claim = new FileStream(lockPath, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1);
        }
        catch (IOException error) when (error is not (PathTooLongException or DirectoryNotFoundException) && System.IO.File.Exists(lockPath))
        {
            return IsDone(task);
        }
        using (claim)
        {
            // Its last holder may have finished between our look and our lock.
            if (IsDone(task)) return true;
            if (Directory.Exists(Product)) throw new IOException($"{Product} was made meanwhile");
            var result = work(number);
            Write(File(task + ".done"), stream => stream.Write(JsonSerializer.SerializeToUtf8Bytes(result)));
        }
        return true;
    }
}
