namespace Perennial.Training.Runs;

/// <summary>What a disk that is full for a while means to a run whose newest state outlives its processes in memory.</summary>
internal static class FullDisk
{
    /// <summary>How often a save that must succeed is tried, a second apart.</summary>
    public const int MostSaves = 15;

    /// <summary>Told of a checkpoint on the way.</summary>
    public const string GoingOn = "training goes on, its state is in memory; the next checkpoint is tried when it is due";

    /// <summary>Told of one that must succeed.</summary>
    public const string Again = "trying again";

    /// <summary>Until the next try. Nothing tells when there is room, and a stop does not end this wait: its own save is the one that needs the time.</summary>
    public static void Wait() => Thread.Sleep(TimeSpan.FromSeconds(1));
}
