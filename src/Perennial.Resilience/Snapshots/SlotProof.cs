using System.IO.Hashing;
using System.Runtime.InteropServices;

namespace Perennial.Resilience.Snapshots;

/// <summary>
/// What a group's member had at a step, known to all members since the commit. A slice rebuilt from parity must have it: parity that was
/// damaged before it was hashed, or made of damaged data, repairs nothing without being noticed.
/// </summary>
/// <param name="Member">The member's place in its group.</param>
/// <param name="BucketSize">Bytes of its buckets.</param>
/// <param name="Seal">The seal of its data slot: a hash over what it is, its step and its bucket hashes.</param>
public sealed record SlotProof(int Member, long BucketSize, UInt128 Seal)
{
    /// <summary>Whether a rank's bytes, with zeros behind them, are what was sealed.</summary>
    internal unsafe bool Holds(SlotIdentity identity, long step, byte* bytes)
    {
        if (BucketSize != SlotIdentity.FittingBucket(BucketSize, identity.DataCapacity)) return false;
        var hashes = new UInt128[(identity.DataCapacity + BucketSize - 1) / BucketSize];
        for (var index = 0; index < hashes.Length; index++)
        {
            var start = index * BucketSize;
            var (end, known) = (Math.Min(identity.DataCapacity, start + BucketSize), Math.Clamp(identity.Bytes - start, 0, BucketSize));
            if (known == end - start)
            {
                hashes[index] = BucketHash.Of(bytes + start, known);
                continue;
            }
            var hash = new XxHash128();
            hash.Append(new ReadOnlySpan<byte>(bytes + start, (int)known));
            hash.Append(new byte[end - start - known]);
            hashes[index] = hash.GetCurrentHashAsUInt128();
        }
        return SealOf(identity, SlotKind.Data, step, BucketSize, hashes) == Seal;
    }

    /// <summary>The hash that seals a slot.</summary>
    internal static UInt128 SealOf(SlotIdentity identity, SlotKind kind, long step, long bucketSize, ReadOnlySpan<UInt128> bucketHashes)
    {
        var hash = new XxHash128();
        Span<byte> prefix = stackalloc byte[72];
        identity.RunId.TryWriteBytes(prefix);
        var words = MemoryMarshal.Cast<byte, ulong>(prefix[16..]);
        words[0] = (ulong)identity.Rank;
        words[1] = identity.LayoutHash;
        words[2] = (ulong)identity.Bytes;
        words[3] = (ulong)kind;
        words[4] = (ulong)step;
        words[5] = (ulong)bucketSize;
        words[6] = (ulong)bucketHashes.Length;
        hash.Append(prefix);
        hash.Append(MemoryMarshal.AsBytes(bucketHashes));
        return hash.GetCurrentHashAsUInt128();
    }

    internal static void Write(WireWriter writer, IReadOnlyList<SlotProof> proofs)
    {
        writer.Int(proofs.Count);
        foreach (var proof in proofs) writer.Int(proof.Member).Long(proof.BucketSize).Hash(proof.Seal);
    }

    internal static IReadOnlyList<SlotProof> Read(ref WireReader reader)
    {
        var count = reader.Int();
        if (count is < 0 or > 255) throw new IOException($"{count} proofs are not possible");
        var proofs = new SlotProof[count];
        for (var i = 0; i < count; i++) proofs[i] = new(reader.Int(), reader.Long(), reader.Hash());
        return proofs;
    }
}
