using Perennial.Resilience.Coding;

namespace Perennial.Resilience.Snapshots;

/// <summary>
/// Sends a rank's data chunks of one step to the holders of their parity, in the background. Unreachable peers are tried again until the
/// step is given up: then the rank's data is no longer there to be sent.
/// </summary>
internal sealed unsafe class ParitySender(RankStore store, ulong epoch, long step, PeerConnections connections, RankStoreOptions options, CancellationToken cancellation)
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(2), LongestPause = TimeSpan.FromMilliseconds(100);
    private readonly Dictionary<SnapshotEndpoint, SnapshotClient> peers = [];
    private readonly byte[] piece = new byte[options.PieceBytes];

    public void Run()
    {
        try
        {
            var identity = store.Identity;
            if (identity.Placement is not { } placement) return;
            for (var chunk = 0; chunk < placement.DataChunks; chunk++)
            {
                var stripe = placement.StripeOf(new GroupChunk(identity.GroupIndex, false, chunk));
                for (var parity = 0; parity < placement.Losses; parity++)
                    if (!SendChunk(identity, placement.ParityRank(stripe, parity), parity, chunk)) return;
            }
        }
        catch (SnapshotRefusedException)
        {
            // The rank was retired, or the manager ends.
        }
        finally
        {
            foreach (var (endpoint, peer) in peers) connections.Give(endpoint, peer);
        }
    }

    private bool SendChunk(SlotIdentity identity, int member, int parity, int chunk)
    {
        for (var offset = 0L; offset < identity.ChunkBytes; offset += piece.Length)
        {
            var part = piece.AsSpan(0, (int)Math.Min(piece.Length, identity.ChunkBytes - offset));
            var pause = FirstPause;
            while (true)
            {
                if (cancellation.IsCancellationRequested || store.Group is not { } group || !store.TryCopyPiece(epoch, step, chunk, offset, part)) return false;
                var outcome = Send(group, member, new(group.Ranks[member], epoch, step, identity.GroupIndex, parity, chunk, offset, System.IO.Hashing.XxHash128.HashToUInt128(part)), part);
                if (outcome == Outcome.Done) break;
                if (outcome == Outcome.Stop) return false;
                cancellation.WaitHandle.WaitOne(pause);
                pause = pause * 2 < LongestPause ? pause * 2 : LongestPause;
            }
        }
        return true;
    }

    private Outcome Send(GroupMembers group, int member, ShareMessage share, ReadOnlySpan<byte> part)
    {
        var endpoint = group.Managers[member];
        try
        {
            if (!peers.TryGetValue(endpoint, out var peer)) peers[endpoint] = peer = connections.Take(endpoint);
            peer.Share(share, part);
            return Outcome.Done;
        }
        catch (SnapshotRefusedException refused)
        {
            if (refused.Reason is RefusalReason.Busy or RefusalReason.NotFound or RefusalReason.Damaged) return Outcome.Again;
            if (refused.Reason != RefusalReason.Fenced) store.Tell($"parity of step {step} is refused by {SnapshotSlices.NameOf(share.ToRank)}: {refused.Message}");
            return Outcome.Stop;
        }
        catch (IOException error)
        {
            if (peers.Remove(endpoint, out var broken)) broken.Dispose();
            store.Tell($"parity of step {step} waits for {SnapshotSlices.NameOf(share.ToRank)}: {error.Message}");
            return Outcome.Again;
        }
    }

    private enum Outcome
    {
        Done,
        Again,
        Stop,
    }
}
