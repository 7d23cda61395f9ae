namespace Perennial.Training.Tests;

/// <summary>Remembers what a run tells, from any thread.</summary>
/// <param name="seen">Also takes it; null for nobody.</param>
internal sealed class Recorder(Action<RunEvent>? seen = null) : IRunObserver
{
    private readonly List<RunEvent> events = [];

    public List<T> Of<T>()
    {
        lock (events) return [.. events.OfType<T>()];
    }

    public void Observe(RunEvent happened)
    {
        lock (events) events.Add(happened);
        seen?.Invoke(happened);
    }
}
