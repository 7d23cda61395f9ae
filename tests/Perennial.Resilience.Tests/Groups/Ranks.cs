using System.Runtime.ExceptionServices;
using Perennial.Resilience.Groups;

namespace Perennial.Resilience.Tests.Groups;

/// <summary>Runs one thread a rank and gives back what each returned or threw.</summary>
internal static class Ranks
{
    public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    public static (T? Result, Exception? Error)[] Try<T>(int size, Func<int, T> rank)
    {
        var outcomes = new (T? Result, Exception? Error)[size];
        var threads = Enumerable.Range(0, size).Select(index => new Thread(() =>
        {
            try
            {
                outcomes[index].Result = rank(index);
            }
            catch (Exception error)
            {
                outcomes[index].Error = error;
            }
        })
        { IsBackground = true }).ToList();
        threads.ForEach(thread => thread.Start());
        foreach (var thread in threads)
            if (!thread.Join(Deadline)) throw new TimeoutException("a rank did not return");
        return outcomes;
    }

    public static T[] All<T>(int size, Func<int, T> rank)
    {
        var outcomes = Try(size, rank);
        foreach (var (_, error) in outcomes)
            if (error is not null) ExceptionDispatchInfo.Throw(error);
        return [.. outcomes.Select(outcome => outcome.Result!)];
    }

    public static T[] All<T>(ICommunicatorFactory factory, string name, int size, Func<ICommunicator, T> rank) => All(size, index =>
    {
        using var group = factory.Create(new GroupSettings { Name = name, Rank = index, Size = size, Epoch = 1 });
        return rank(group);
    });

    public static (T? Result, Exception? Error)[] Try<T>(ICommunicatorFactory factory, string name, int size, Func<ICommunicator, T> rank) => Try(size, index =>
    {
        using var group = factory.Create(new GroupSettings { Name = name, Rank = index, Size = size, Epoch = 1 });
        return rank(group);
    });
}
