using System.Globalization;
using System.Text;
using Perennial.Core;
using Perennial.Resilience.Groups;
using Perennial.Tensors;
using Perennial.Training.State;
using TorchSharp;

namespace Perennial.Training.Parallel;

/// <summary>
/// Brings the processes of a new group to one state: the newest that any of them holds. A committed step is never lost while one process
/// that committed it lives; who is behind (by the step that broke, or because it is new) receives the whole state from the first that is not.
/// </summary>
internal static class StateAgreement
{
    /// <summary>Agrees; true where this process's state was replaced.</summary>
    /// <param name="group">The new group.</param>
    /// <param name="state">This process's state.</param>
    /// <param name="hash">The state's hash: equal steps must have equal states.</param>
    /// <exception cref="PerennialException">Exit 1: two processes hold different states of the same step.</exception>
    /// <exception cref="CommunicatorException">The group broke.</exception>
    public static bool Bring(ICommunicator group, TrainingState state, Func<string> hash)
    {
        if (group.Size == 1) return false;
        var digest = long.Parse(hash().AsSpan(0, 16), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        var counts = Enumerable.Repeat(2L, group.Size).ToArray();
        var all = new long[2 * group.Size];
        group.AllGather<long>([state.Progress.Step, digest], all, counts);
        var newest = Enumerable.Range(0, group.Size).Max(rank => all[2 * rank]);
        var root = Enumerable.Range(0, group.Size).First(rank => all[2 * rank] == newest);
        foreach (var rank in Enumerable.Range(0, group.Size).Where(rank => all[2 * rank] == newest && all[2 * rank + 1] != all[2 * root + 1]))
            throw PerennialException.Failed($"rank {root} and rank {rank} hold different states of step {newest}; start again from a checkpoint, and report this");
        if (Enumerable.Range(0, group.Size).All(rank => all[2 * rank] == newest)) return false;

        var isBehind = state.Progress.Step != newest;
        var progress = Encoding.UTF8.GetBytes(group.Rank == root ? ProgressJson.Write(state.Progress) : "");
        long[] length = [progress.Length];
        group.Broadcast<long>(length, root);
        if (group.Rank != root) progress = new byte[length[0]];
        group.Broadcast<byte>(progress, root);
        Broadcast(group, root, state.Parameters.Values);
        foreach (var slot in state.Slots) Broadcast(group, root, slot.Values);
        if (isBehind) state.Progress = ProgressJson.Read(Encoding.UTF8.GetString(progress), "the state of a peer");
        return isBehind;
    }

    /// <summary>The root's bytes on everyone. Who has them already receives them again: the same bits.</summary>
    private static void Broadcast(ICommunicator group, int root, torch.Tensor values) =>
        group.Broadcast(TensorMemory.Pointer(values), values.NumberOfElements * values.ElementSize, ElementType.UInt8, root);
}
