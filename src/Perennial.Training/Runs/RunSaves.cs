using Perennial.Core;
using Perennial.Training.Checkpoints;
using Perennial.Training.Memory;

namespace Perennial.Training.Runs;

/// <summary>
/// How a leader's checkpoints are written, and what a failed one means: while the newest state is in memory, a disk that is full for a while
/// does not end the run.
/// </summary>
/// <param name="memory">Where the newest state outlives this process; null where only checkpoints do.</param>
/// <param name="bytes">The state as that memory cuts it.</param>
/// <param name="tell">Takes the events.</param>
internal sealed class RunSaves(MemorySnapshots? memory, StateBytes? bytes, Action<RunEvent> tell)
{
    /// <summary>Has a snapshot manager write the checkpoint of the present step, whose snapshot is about to be offered; false where this process must.</summary>
    public bool Order(CheckpointWriter writer)
    {
        if (memory is null || bytes is null) return false;
        Try(() => writer.Finish() is { } earlier ? [earlier] : []);
        return writer.Order(memory, bytes);
    }

    /// <summary>A step of writing a checkpoint.</summary>
    public void Try(Func<IEnumerable<CheckpointWritten>> part)
    {
        try
        {
            foreach (var written in part()) tell(written);
        }
        catch (PerennialException failed) when (memory is { IsReady: true })
        {
            tell(new Notice("warning", $"{failed.Message}; {FullDisk.GoingOn}"));
        }
    }

    /// <summary>Makes a step durable, unless it is already; where the state outlives this process in memory, a full disk is given time.</summary>
    public void Save(CheckpointWriter writer, long step)
    {
        for (var tries = 0; tries < FullDisk.MostSaves && memory is { IsReady: true }; tries++)
        {
            try
            {
                SaveNow(writer, step);
                return;
            }
            catch (PerennialException failed)
            {
                tell(new Notice("warning", $"{failed.Message}; {FullDisk.Again}"));
                FullDisk.Wait();
            }
        }
        SaveNow(writer, step);
    }

    private void SaveNow(CheckpointWriter writer, long step)
    {
        if (writer.Finish() is { } earlier) tell(earlier);
        if (writer.DurableStep == step) return;
        foreach (var written in writer.Begin()) tell(written);
        if (writer.Finish() is { } last) tell(last);
    }
}
