namespace Perennial.Training.Parallel;

/// <summary>Breaks this process's connections to its peers from outside the loop, to see what that does.</summary>
public sealed class Interruption
{
    private Action<string>? listener;

    /// <summary>Breaks them; nothing happens while there are none.</summary>
    public void Raise(string reason) => Volatile.Read(ref listener)?.Invoke(reason);

    internal void Listen(Action<string>? heard) => Volatile.Write(ref listener, heard);
}
