using System.Diagnostics;
using System.Globalization;
using Perennial.Membership;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Membership;

namespace Perennial.Resilience.Tests.Groups;

/// <summary>
/// One rank of a group of GPUs, a process of its own: <c>nccl-worker STORE NAME RANK SIZE WHAT</c>. It ends with a line <c>done …</c>, or with
/// <c>wrong …</c> and exit code 1.
/// </summary>
internal sealed class NcclWorker(RedisStore store, string name, int rank, int size, int device)
{
    public const string Command = "nccl-worker";

    public static int Run(ReadOnlySpan<string> words)
    {
        var (rank, size) = (int.Parse(words[2], CultureInfo.InvariantCulture), int.Parse(words[3], CultureInfo.InvariantCulture));
        using var store = RedisStore.Connect(StoreAddress.Parse(words[0]));
        var devices = NcclLibrary.Load().Devices;
        if (devices < size) NcclLibrary.ShareGpus(rank);
        var worker = new NcclWorker(store, words[1], rank, size, rank % devices);
        try
        {
            Console.WriteLine("done " + words[4] switch
            {
                "collectives" => worker.Collectives(),
                "killed" or "stopped" => worker.Lose(),
                "abort" => worker.Abort(),
                "timeout" => worker.Timeout(),
                var other => throw new ArgumentException(other),
            });
            return 0;
        }
        catch (Exception error)
        {
            Console.WriteLine($"wrong {error}");
            return 1;
        }
    }

    private NcclCommunicator Join(string epoch = "", int? place = null, int? among = null) => NcclCommunicator.Create(store, new GroupSettings
    {
        Name = $"{name}/{epoch}", Rank = place ?? rank, Size = among ?? size, Epoch = 1, CreateTimeout = TimeSpan.FromSeconds(60), Timeout = TimeSpan.FromSeconds(60),
    }, device);

    private GpuMemory Memory(long bytes) => new(NcclLibrary.Load(), device, bytes);

    private static float[] Data(int rank, int count) => [.. Enumerable.Range(0, count).Select(i => (float)((i * 7 + rank * 13) % 1000))];

    private static float[] Sum(int size, int count)
    {
        var sum = new float[count];
        for (var rank = 0; rank < size; rank++)
        {
            var data = Data(rank, count);
            for (var i = 0; i < count; i++) sum[i] += data[i];
        }
        return sum;
    }

    private T[] Through<T>(T[] data, Action<nint> call) where T : unmanaged
    {
        using var memory = Memory(data.Length * 8L);
        memory.Write<T>(data);
        call(memory.Address);
        var result = new T[data.Length];
        memory.Read<T>(result);
        return result;
    }

    private string Collectives()
    {
        using var group = Join();
        Assert.Equal((rank, size, 1L), (group.Rank, group.Size, group.Epoch));
        Console.WriteLine("all-reduce");
        foreach (var count in (int[])[0, 1, 70_000, 3_000_001])
            Assert.True(Through(Data(rank, count), address => group.AllReduce(address, count, ElementType.Float32)).AsSpan().SequenceEqual(Sum(size, count)), $"all-reduce of {count}");
        Assert.Equal([size - 1.0, 0.0], Through(new[] { rank, -(double)rank }, address => group.AllReduce(address, 2, ElementType.Float64, Reduction.Max)));
        Assert.Equal([0L, (1L << size) - 1], Through(new[] { rank, (1L << rank) }, address =>
        {
            group.AllReduce(address, 1, ElementType.Int64, Reduction.Min);
            group.AllReduce(address + 8, 1, ElementType.Int64);
        }));
        // 1 + 3 / 256 is a tie of bfloat16 and goes up to the even 1 + 4 / 256.
        Assert.Equal((ushort)0x3f82, Through(new ushort[] { rank switch { 0 => 0x3f80, 1 => 0x3c40, _ => 0 } }, address => group.AllReduce(address, 1, ElementType.BFloat16))[0]);
        Console.WriteLine("parts");
        long[] counts = [.. Enumerable.Range(0, size).Select(peer => peer == 1 ? 0L : 1000 + peer)];
        var total = (int)counts.Sum();
        using var source = Memory(total * 4);
        using var part = Memory(2000 * 4);
        using var whole = Memory(total * 4);
        source.Write<float>(Data(rank, total));
        group.ReduceScatter(source.Address, part.Address, counts, ElementType.Float32);
        group.AllGather(part.Address, whole.Address, counts, ElementType.Float32);
        var gathered = new float[total];
        whole.Read<float>(gathered);
        Assert.True(gathered.AsSpan().SequenceEqual(Sum(size, total)), "reduce-scatter, then all-gather");
        Assert.Equal(Data(size - 1, 500_000), Through(Data(rank, 500_000), address => group.Broadcast(address, 500_000, ElementType.Float32, size - 1)));
        Console.WriteLine("messages");
        // Round the ring: even ranks send first.
        var token = Through(new long[] { 100 + rank, -1 }, address =>
        {
            var (next, last) = ((rank + 1) % size, (rank + size - 1) % size);
            if (rank % 2 == 0 && rank != size - 1) group.Send(address, 1, ElementType.Int64, next);
            group.Receive(address + 8, 1, ElementType.Int64, last);
            if (rank % 2 == 1 || rank == size - 1) group.Send(address, 1, ElementType.Int64, next);
        });
        Assert.Equal(100 + (rank + size - 1) % size, token[1]);
        Console.WriteLine("split");
        using (var half = group.Split(rank == size - 1 ? -1 : rank % 2, -rank))
        {
            if (rank == size - 1) Assert.Null(half);
            else Assert.Equal(Enumerable.Range(0, size - 1).Where(peer => peer % 2 == rank % 2).Sum(), Through(new[] { (float)rank }, address => half!.AllReduce(address, 1, ElementType.Float32))[0]);
        }
        Console.WriteLine("refusals");
        var host = new float[1];
        Refused(() => group.AllReduce(host.AsSpan()));
        Refused(() => group.Broadcast(source.Address, 1, ElementType.Float32, size));
        Refused(() => group.AllReduce(source.Address, 1, ElementType.UInt8, Reduction.Xor));
        group.Barrier();
        return $"NCCL {NcclLibrary.Load().Version}";
    }

    private static void Refused(Action call) => Assert.ThrowsAny<ArgumentException>(call);

    // All-reduces until the last rank is lost; then the others shrink the group, and it must still add up.
    private string Lose()
    {
        using var group = Join();
        using var data = Memory(4 << 20);
        Console.WriteLine("working");
        CommunicatorException? error = null;
        // What the membership tells: here the test, which killed.
        var told = Task.Factory.StartNew(() => store.Wait($"{name}/lost", TimeSpan.FromSeconds(60), default), TaskCreationOptions.LongRunning);
        var broken = new Stopwatch();
        var ended = Task.Factory.StartNew(() =>
        {
            while (error is null)
            {
                try
                {
                    group.AllReduce(data.Address, data.Bytes / 4, ElementType.Float32);
                }
                catch (CommunicatorException caught)
                {
                    error = caught;
                }
            }
        }, TaskCreationOptions.LongRunning);
        told.Wait();
        broken.Start();
        using (var next = group.Shrink([size - 1], 2))
        {
            var formed = broken.ElapsedMilliseconds;
            ended.Wait();
            Assert.Equal((rank, size - 1), (next.Rank, next.Size));
            Assert.Equal(Sum(size - 1, 1000), Through(Data(rank, 1000), address => next.AllReduce(address, 1000, ElementType.Float32)));
            Assert.Throws<CommunicatorException>(() => group.Barrier());
            return $"{error!.Failure}, shrunk in {formed} ms";
        }
    }

    private string Abort()
    {
        using var group = Join();
        using var data = Memory(4);
        // The links are made by the first message.
        if (rank == 0) group.Receive(data.Address, 1, ElementType.Float32, 1);
        if (rank == 1) group.Send(data.Address, 1, ElementType.Float32, 0);
        group.Barrier();
        if (rank == 0)
        {
            using var timer = new Timer(_ => group.Abort("enough"), null, 200, System.Threading.Timeout.Infinite);
            var own = Assert.Throws<CommunicatorException>(() => group.Receive(data.Address, 1, ElementType.Float32, 1));
            Assert.Equal(CommunicatorFailure.Aborted, own.Failure);
            Assert.Contains("enough", own.Message);
            return $"{own.Failure}";
        }
        if (rank == 1)
        {
            using var cancelling = new CancellationTokenSource(100);
            var cancelled = Assert.Throws<CommunicatorException>(() => group.Receive(data.Address, 1, ElementType.Float32, 2, new CallOptions(Cancellation: cancelling.Token)));
            Assert.Equal(CommunicatorFailure.Aborted, cancelled.Failure);
            return $"{cancelled.Failure}";
        }
        // The others wait for both of them.
        return $"{Assert.Throws<CommunicatorException>(() => group.Barrier()).Failure}";
    }

    private string Timeout()
    {
        using var group = Join();
        group.Barrier();
        if (rank == 0)
        {
            // It comes late: when the others have given up.
            store.Wait($"{name}/over", TimeSpan.FromSeconds(60), default);
            return "late";
        }
        using var data = Memory(4);
        var error = Assert.Throws<CommunicatorException>(() => group.AllReduce(data.Address, 1, ElementType.Float32, options: new CallOptions(Timeout: TimeSpan.FromMilliseconds(300))));
        store.Set($"{name}/over", [1]);
        return $"{error.Failure}";
    }
}
