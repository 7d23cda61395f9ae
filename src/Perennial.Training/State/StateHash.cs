using System.IO.Hashing;
using System.Text;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Training.State;

/// <summary>
/// XXH128 over the training state: the progress as canonical JSON, the stream's fingerprint and seed, then for the parameters and every
/// slot its name, type, length and bytes, in order.
/// </summary>
public static class StateHash
{
    /// <summary>The hash, 32 hex digits.</summary>
    /// <param name="state">The state.</param>
    /// <param name="streamFingerprint">Fingerprint of the sample stream: what the cursor points into.</param>
    /// <param name="seed">The run's seed: the key of every generator.</param>
    public static string Of(TrainingState state, string streamFingerprint, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(state);
        var hash = new XxHash128();
        hash.Append(Encoding.UTF8.GetBytes($"perennial state 1\n{ProgressJson.Write(state.Progress)}\n{streamFingerprint}\n{seed}\n"));
        foreach (var entry in state.Parameters.Layout.Entries) hash.Append(Encoding.UTF8.GetBytes($"{entry.Name} {string.Join('x', entry.Shape)}\n"));
        Add(hash, "parameters", state.Parameters.Values);
        foreach (var slot in state.Slots) Add(hash, slot.Name, slot.Values);
        return Convert.ToHexStringLower(hash.GetCurrentHash());
    }

    private static void Add(XxHash128 hash, string name, Tensor values)
    {
        hash.Append(Encoding.UTF8.GetBytes($"{name} {values.dtype} {values.NumberOfElements * values.ElementSize}\n"));
        TensorHash.Append(hash, values);
    }
}
