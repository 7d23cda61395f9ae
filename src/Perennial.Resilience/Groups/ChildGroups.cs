namespace Perennial.Resilience.Groups;

/// <summary>The sub-groups of a communicator, which end with it.</summary>
internal sealed class ChildGroups : IDisposable
{
    private readonly List<ICommunicator> groups = [];

    public ICommunicator Add(ICommunicator group)
    {
        lock (groups) groups.Add(group);
        return group;
    }

    public void Abort(string reason)
    {
        foreach (var group in Snapshot()) group.Abort(reason);
    }

    public void Dispose()
    {
        foreach (var group in Snapshot()) group.Dispose();
    }

    private ICommunicator[] Snapshot()
    {
        lock (groups) return [.. groups];
    }
}
