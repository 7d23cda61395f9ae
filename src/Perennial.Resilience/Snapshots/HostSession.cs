using Perennial.Core;

namespace Perennial.Resilience.Snapshots;

/// <summary>One connection to a manager: reads requests, answers each, until the other side is gone.</summary>
internal sealed class HostSession(SnapshotHost host, Connection connection)
{
    private const int ProtocolVersion = 3;
    private static readonly TimeSpan News = TimeSpan.FromMilliseconds(100);
    private const int LargestForm = 1 << 30;
    private bool opened;
    private byte[] form = [];

    public void Run()
    {
        try
        {
            while (true)
            {
                var kind = connection.Receive(out var payload);
                try
                {
                    if (!opened && kind != MessageKind.Open) return;
                    Answer(kind, payload);
                }
                catch (SnapshotRefusedException refused)
                {
                    Refuse(refused.Reason, refused.Message);
                }
                catch (Exception error) when (error is PerennialException or UnauthorizedAccessException or ArgumentException or ArithmeticException)
                {
                    Refuse(RefusalReason.Invalid, error.Message);
                }
            }
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            // The other side is gone, or speaks something else; either way this connection is over.
        }
        finally
        {
            host.Detach(this);
        }
    }

    private void Answer(MessageKind kind, ReadOnlySpan<byte> payload)
    {
        var reader = new WireReader(payload);
        switch (kind)
        {
            case MessageKind.Open:
                if (reader.Int() != ProtocolVersion || reader.Id() != host.RunId) throw new SnapshotRefusedException(RefusalReason.Invalid, "this manager is of another run or version");
                opened = true;
                break;
            case MessageKind.Hello:
                connection.Send(MessageKind.Welcome, new WireWriter().Text(host.Hello(HelloMessage.Read(host.RunId, payload), this)).Written);
                return;
            case MessageKind.Configure:
                host.Store(reader.Int()).Configure(reader.ULong(), HelloMessage.ReadGroup(ref reader));
                break;
            case MessageKind.Begin:
                var begin = StepMessage.Read(ref reader);
                host.Store(begin.Rank).Begin(begin, reader.Int(), reader.Long(), this);
                break;
            case MessageKind.Bucket:
                var bucket = StepMessage.Read(ref reader);
                host.Store(bucket.Rank).Bucket(bucket, reader.Long(), reader.Hash(), this);
                break;
            case MessageKind.Prepared:
                var prepared = StepMessage.Read(ref reader);
                if (host.Store(prepared.Rank).Prepared(prepared, this)) host.Encode(host.Store(prepared.Rank), prepared);
                break;
            case MessageKind.Encode:
                var encode = StepMessage.Read(ref reader);
                host.Encode(host.Store(encode.Rank), encode);
                break;
            case MessageKind.Commit:
                var commit = StepMessage.Read(ref reader);
                host.Store(commit.Rank).Commit(commit, SlotProof.Read(ref reader));
                host.Checkpoints.Committed(commit.Rank, commit.Step);
                break;
            case MessageKind.Abort:
                var abort = StepMessage.Read(ref reader);
                host.Store(abort.Rank).Abort(abort, onlyUnprepared: reader.Byte() != 0);
                break;
            case MessageKind.ListInventory:
                SendInventory();
                return;
            case MessageKind.Read:
                SendRange(ReadMessage.Read(ref reader));
                return;
            case MessageKind.Persist:
                host.Checkpoints.Order(PersistOrder.Read(ref reader));
                break;
            case MessageKind.Form:
                TakeForm(ref reader);
                break;
            case MessageKind.AwaitPersisted:
                var report = host.Checkpoints.Await(reader.Long(), (PersistStage)reader.Byte(), withdraw: reader.Byte() != 0, News);
                connection.Send(MessageKind.Persisted, new WireWriter().Byte((byte)report.Stage).Long(report.Bytes).Text(report.Problem).Written);
                return;
            case MessageKind.Share:
                var share = ShareMessage.Read(ref reader);
                if (System.IO.Hashing.XxHash128.HashToUInt128(reader.Rest) != share.Hash) throw new SnapshotRefusedException(RefusalReason.Damaged, "a share changed on its way");
                host.Store(share.ToRank).Share(share, reader.Rest);
                break;
            case MessageKind.Retire:
                var rank = reader.Int();
                if (rank < 0) connection.Send(MessageKind.Ok, []);
                host.Retire(rank);
                if (rank < 0) return;
                break;
            default:
                throw new IOException($"{kind} is no request");
        }
        connection.Send(MessageKind.Ok, []);
    }

    private void Refuse(RefusalReason reason, string message) => connection.Send(MessageKind.Refused, new WireWriter().Byte((byte)reason).Text(message).Written);

    private void SendInventory()
    {
        var stores = host.Stores();
        var writer = new WireWriter().Int(stores.Length);
        foreach (var store in stores) store.Inventory().Write(writer);
        connection.Send(MessageKind.Inventory, writer.Written);
    }

    private unsafe void SendRange(ReadMessage read)
    {
        using var lease = host.Store(read.Rank).Pin(read.Kind, read.Step);
        if (read.Bytes is < 1 or > Connection.LargestBody || read.Offset < 0 || read.Offset > lease.Capacity - read.Bytes)
            throw new SnapshotRefusedException(RefusalReason.Invalid, $"{read.Bytes} bytes from {read.Offset} are not in the slot");
        var damaged = lease.FirstDamaged(read.Offset, read.Bytes);
        if (damaged >= 0) throw new SnapshotRefusedException(RefusalReason.Damaged, $"bucket {damaged} of {SnapshotSlices.NameOf(read.Rank)}'s {read.Kind.ToString().ToLowerInvariant()} of step {read.Step} is damaged");
        var start = lease.Bytes + read.Offset;
        connection.Send(MessageKind.Data, new WireWriter().Hash(BucketHash.Of(start, read.Bytes)).Written, start, read.Bytes);
    }

    /// <summary>A form may be larger than a message: it comes in pieces, in order.</summary>
    private void TakeForm(ref WireReader reader)
    {
        var (hash, bytes, offset) = (reader.Hash(), reader.Int(), reader.Int());
        if (bytes is < 1 or > LargestForm) throw new SnapshotRefusedException(RefusalReason.Invalid, $"a form of {bytes} bytes is not possible");
        if (offset == 0) form = new byte[bytes];
        if (offset < 0 || form.Length != bytes || reader.Rest.Length > bytes - offset) throw new SnapshotRefusedException(RefusalReason.Invalid, "a piece of a form does not fit");
        reader.Rest.CopyTo(form.AsSpan(offset));
        if (offset + reader.Rest.Length < bytes) return;
        if (System.IO.Hashing.XxHash128.HashToUInt128(form) != hash) throw new SnapshotRefusedException(RefusalReason.Damaged, "a form changed on its way");
        host.Checkpoints.Take(hash, form);
        form = [];
    }
}
