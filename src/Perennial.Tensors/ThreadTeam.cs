namespace Perennial.Tensors;

/// <summary>Runs vectorized passes on as many threads as libtorch uses.</summary>
public static class ThreadTeam
{
    /// <summary>
    /// Calls <paramref name="body"/> for 0 … <paramref name="count"/> − 1, in any order, on libtorch's number of threads.
    /// Every index is one unit of work whose result must not depend on the others.
    /// </summary>
    public static void For(int count, Action<int> body)
    {
        ArgumentNullException.ThrowIfNull(body);
        var threads = Math.Min(count, TorchSharp.torch.get_num_threads());
        if (threads <= 1)
        {
            for (var index = 0; index < count; index++) body(index);
            return;
        }
        Parallel.For(0, count, new ParallelOptions { MaxDegreeOfParallelism = threads }, body);
    }
}
