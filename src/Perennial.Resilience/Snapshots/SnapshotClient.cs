namespace Perennial.Resilience.Snapshots;

/// <summary>
/// A connection to a snapshot manager: one request at a time, from any thread. Every method throws <see cref="IOException"/> where the manager
/// is gone and <see cref="SnapshotRefusedException"/> where it refuses.
/// </summary>
public sealed unsafe class SnapshotClient : IDisposable
{
    /// <summary>The most bytes of one <see cref="Read"/>.</summary>
    public const int LargestRead = Connection.LargestBody;

    private const int ProtocolVersion = 3;
    private readonly Lock gate = new();
    private readonly Connection connection;
    private readonly Guid runId;

    private SnapshotClient(Connection connection, Guid runId) => (this.connection, this.runId) = (connection, runId);

    /// <summary>Connects.</summary>
    /// <param name="endpoint">The manager.</param>
    /// <param name="runId">The run; a manager of another run refuses.</param>
    /// <param name="timeout">For the connection and for every reply.</param>
    public static SnapshotClient Connect(SnapshotEndpoint endpoint, Guid runId, TimeSpan timeout)
    {
        ArgumentNullException.ThrowIfNull(endpoint);
        var client = new SnapshotClient(Connection.Open(endpoint, timeout), runId);
        try
        {
            client.connection.LimitSilence(timeout);
            client.Request(MessageKind.Open, new WireWriter().Int(ProtocolVersion).Id(runId));
            return client;
        }
        catch
        {
            client.Dispose();
            throw;
        }
    }

    /// <summary>INVENTORY: all ranks of the manager.</summary>
    public IReadOnlyList<RankInventory> Inventory()
    {
        lock (gate)
        {
            var reader = new WireReader(Ask(MessageKind.ListInventory, new WireWriter(), MessageKind.Inventory));
            var ranks = new RankInventory[reader.Int()];
            for (var rank = 0; rank < ranks.Length; rank++) ranks[rank] = RankInventory.Read(runId, ref reader);
            return ranks;
        }
    }

    /// <summary>COMMIT: a prepared step becomes the one to restore. Again is no error.</summary>
    /// <param name="rank">The rank.</param>
    /// <param name="epoch">The membership epoch.</param>
    /// <param name="step">The step.</param>
    /// <param name="proofs">What the group's members have at the step.</param>
    public void Commit(int rank, ulong epoch, long step, IReadOnlyList<SlotProof>? proofs = null)
    {
        var message = new StepMessage(rank, epoch, step).Write();
        SlotProof.Write(message, proofs ?? []);
        Request(MessageKind.Commit, message);
    }

    /// <summary>ABORT: gives a step up.</summary>
    /// <param name="rank">The rank.</param>
    /// <param name="epoch">The membership epoch.</param>
    /// <param name="step">The step.</param>
    /// <param name="onlyUnprepared">Refuse where it is prepared.</param>
    public void Abort(int rank, ulong epoch, long step, bool onlyUnprepared) =>
        Request(MessageKind.Abort, new StepMessage(rank, epoch, step).Write().Byte(onlyUnprepared ? (byte)1 : (byte)0));

    /// <summary>CONFIGURE: new addresses of a group's managers.</summary>
    public void Configure(int rank, ulong epoch, GroupMembers group) => Request(MessageKind.Configure, HelloMessage.WriteGroup(new WireWriter().Int(rank).ULong(epoch), group));

    /// <summary>ENCODE: sends the parity of a landed step, or sends it again.</summary>
    public void Encode(int rank, ulong epoch, long step) => Request(MessageKind.Encode, new StepMessage(rank, epoch, step).Write());

    /// <summary>READ: a range of a complete slot, verified by the manager before it is sent and by this side after.</summary>
    /// <param name="rank">The rank.</param>
    /// <param name="kind">Its data or its parity.</param>
    /// <param name="step">The step.</param>
    /// <param name="offset">First byte.</param>
    /// <param name="destination">Where to; at most <see cref="LargestRead"/> bytes.</param>
    public void Read(int rank, SlotKind kind, long step, long offset, Span<byte> destination)
    {
        lock (gate)
        {
            var body = Ask(MessageKind.Read, new ReadMessage(rank, kind, step, offset, destination.Length).Write(), MessageKind.Data);
            var reader = new WireReader(body);
            var hash = reader.Hash();
            if (reader.Rest.Length != destination.Length) throw new IOException($"{reader.Rest.Length} bytes came where {destination.Length} were asked for");
            if (System.IO.Hashing.XxHash128.HashToUInt128(reader.Rest) != hash) throw new IOException("bytes changed on their way");
            reader.Rest.CopyTo(destination);
        }
    }

    /// <summary>PERSIST: the manager writes the checkpoint of a step to disk as soon as the step is committed, whoever lives then. Returns when it has the order.</summary>
    /// <param name="order">Which step, and where its slices are.</param>
    /// <param name="form">What makes it a checkpoint; sent where the manager does not have it yet.</param>
    public void Persist(PersistOrder order, EncodedForm form)
    {
        ArgumentNullException.ThrowIfNull(order);
        ArgumentNullException.ThrowIfNull(form);
        try
        {
            Request(MessageKind.Persist, order.Write());
        }
        catch (SnapshotRefusedException unknown) when (unknown.Reason == RefusalReason.NotFound)
        {
            Send(form);
            Request(MessageKind.Persist, order.Write());
        }
    }

    /// <summary>PERSISTED: how far the order for a step is; waits a moment for news.</summary>
    /// <param name="step">The step.</param>
    /// <param name="known">What was known last.</param>
    /// <param name="withdraw">Gives the order up where the step is still not committed.</param>
    public PersistReport AwaitPersisted(long step, PersistStage known, bool withdraw = false)
    {
        lock (gate)
        {
            var reader = new WireReader(Ask(MessageKind.AwaitPersisted, new WireWriter().Long(step).Byte((byte)known).Byte(withdraw ? (byte)1 : (byte)0), MessageKind.Persisted));
            return new((PersistStage)reader.Byte(), reader.Long(), reader.Text());
        }
    }

    /// <summary>RETIRE: frees a rank's memory; with −1 all of it, and the manager ends.</summary>
    public void Retire(int rank) => Request(MessageKind.Retire, new WireWriter().Int(rank));

    /// <inheritdoc/>
    public void Dispose() => connection.Dispose();

    internal string Hello(HelloMessage hello)
    {
        lock (gate)
        {
            var reader = new WireReader(Ask(MessageKind.Hello, hello.Write(), MessageKind.Welcome));
            return reader.Text();
        }
    }

    internal void Begin(StepMessage message, int slot, long bucketSize) => Request(MessageKind.Begin, message.Write().Int(slot).Long(bucketSize));

    internal void Bucket(StepMessage message, long index, UInt128 hash) => Request(MessageKind.Bucket, message.Write().Long(index).Hash(hash));

    internal void Prepared(StepMessage message) => Request(MessageKind.Prepared, message.Write());

    internal void Share(ShareMessage share, ReadOnlySpan<byte> piece)
    {
        lock (gate)
        {
            fixed (byte* body = piece) connection.Send(MessageKind.Share, share.Write().Written, body, piece.Length);
            Expect(MessageKind.Ok);
        }
    }

    private void Send(EncodedForm form)
    {
        lock (gate)
        {
            for (var offset = 0; offset < form.Bytes.Length; offset += LargestRead)
            {
                var piece = form.Bytes.Span[offset..Math.Min(form.Bytes.Length, offset + LargestRead)];
                fixed (byte* body = piece) connection.Send(MessageKind.Form, new WireWriter().Hash(form.Hash).Int(form.Bytes.Length).Int(offset).Written, body, piece.Length);
                Expect(MessageKind.Ok);
            }
        }
    }

    private void Request(MessageKind kind, WireWriter message)
    {
        lock (gate) Ask(kind, message, MessageKind.Ok);
    }

    private ReadOnlySpan<byte> Ask(MessageKind kind, WireWriter message, MessageKind reply)
    {
        connection.Send(kind, message.Written);
        return Expect(reply);
    }

    private ReadOnlySpan<byte> Expect(MessageKind reply)
    {
        var kind = connection.Receive(out var payload);
        if (kind == reply) return payload;
        if (kind != MessageKind.Refused) throw new IOException($"the manager answered {kind} where {reply} was due");
        var reader = new WireReader(payload);
        throw new SnapshotRefusedException((RefusalReason)reader.Byte(), reader.Text());
    }
}
