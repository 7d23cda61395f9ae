using Perennial.Core;
using Perennial.Resilience.Snapshots;
using Perennial.Tensors;
using TorchSharp;

namespace Perennial.Training.Memory;

/// <summary>
/// This process's part in the snapshots of one membership: an agent for each slice that is its duty. Agents attach in the background, and
/// again when a manager was lost and another has come in its place; until all are attached the process is not ready.
/// </summary>
internal sealed class SliceCopies : IDisposable
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(200);
    private readonly MemorySettings settings;
    private readonly ISlicedState state;
    private readonly SnapshotSlices slices;
    private readonly SnapshotSlice[] mine;
    private readonly SnapshotAgent?[] agents;
    private readonly ulong epoch;
    private readonly Action<string> alarm;
    private readonly CopyTeam? team;
    private readonly Lock gate = new();
    private readonly ManualResetEvent stopping = new(false);
    private readonly Thread keeper;
    private long standing;
    private string told = "";

    /// <param name="settings">The run's managers.</param>
    /// <param name="state">The state.</param>
    /// <param name="slices">Who copies what.</param>
    /// <param name="rank">This process's place in the membership.</param>
    /// <param name="epoch">Number of the membership among managers.</param>
    /// <param name="standing">The step that this membership goes on from.</param>
    /// <param name="alarm">Takes what goes wrong and training survives.</param>
    /// <param name="neighbours">Processes of this membership on this node, this one included.</param>
    public SliceCopies(MemorySettings settings, ISlicedState state, SnapshotSlices slices, int rank, ulong epoch, long standing, Action<string> alarm, int neighbours)
    {
        (this.settings, this.state, this.slices, this.epoch, this.standing, this.alarm) = (settings, state, slices, epoch, standing, alarm);
        mine = [.. slices.All.Where(slice => slice.Writer == rank)];
        agents = new SnapshotAgent?[mine.Length];
        // A processor that nobody computes on can copy beside the step; else all copy before it.
        if (torch.get_num_threads() * neighbours >= Environment.ProcessorCount) team = ThreadTeam.For;
        keeper = new Thread(Keep) { IsBackground = true, Name = "snapshot keeper" };
        keeper.Start();
    }

    /// <summary>Whether every slice has a manager, as far as is known.</summary>
    public bool IsAttached
    {
        get
        {
            lock (gate) return agents.All(agent => agent is { IsAttached: true });
        }
    }

    /// <summary>Whether the last snapshot was decided; a slice without a manager has nothing to wait for.</summary>
    public bool IsSettled
    {
        get
        {
            lock (gate) return agents.All(agent => agent is null || agent.IsSettled);
        }
    }

    /// <summary>The memory that a slice has.</summary>
    public static SlotIdentity Identity(SnapshotSlice slice, SnapshotSlices slices, Guid run, ISlicedState state)
    {
        var bytes = state.SliceBytes(slices);
        return new(run, slice.Id, state.LayoutHash(bytes), bytes, slice.GroupSize, slice.GroupIndex, slice.Losses);
    }

    /// <summary>Starts copying the step; false, with the reason told, where a slice could not begin: nobody then waits for it.</summary>
    public bool Offer(long step)
    {
        lock (gate)
        {
            var started = true;
            for (var i = 0; i < mine.Length; i++)
            {
                try
                {
                    var offer = agents[i]?.Offer(step, state.Ranges(slices, mine[i])) ?? new SnapshotOffer(false, "its manager is not there");
                    if (offer.Started) continue;
                    Tell($"slice {mine[i].Number} of step {step} was not copied: {offer.Reason}");
                    agents[i]?.Decline(step);
                }
                catch (SnapshotRefusedException fenced)
                {
                    // The others have gone on without this process; its next collective call will say so.
                    Tell($"slice {mine[i].Number} of step {step} was refused: {fenced.Message}");
                    Drop(i);
                }
                started = false;
            }
            return started;
        }
    }

    /// <summary>Has others not wait for a step that is not copied here.</summary>
    public void Decline(long step)
    {
        lock (gate)
            foreach (var agent in agents) agent?.Decline(step);
    }

    /// <summary>Returns when the state may change.</summary>
    public void WaitCopied()
    {
        SnapshotAgent[] copying;
        lock (gate) copying = [.. agents.OfType<SnapshotAgent>()];
        foreach (var agent in copying) agent.WaitCopied();
    }

    /// <summary>Remembers the newest step that is committed in all slices: a manager that comes back with older memory goes on from there.</summary>
    public void NoteStanding()
    {
        lock (gate)
        {
            if (agents.Length > 0 && agents.All(agent => agent is { IsAttached: true }) && agents.Min(agent => agent!.CommittedStep) is >= 0 and var newest) standing = newest;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        stopping.Set();
        keeper.Join();
        lock (gate)
            for (var i = 0; i < agents.Length; i++) Drop(i);
        stopping.Dispose();
    }

    private void Keep()
    {
        do
        {
            for (var i = 0; i < mine.Length; i++)
            {
                bool isThere;
                lock (gate) isThere = agents[i] is { IsAttached: true };
                if (!isThere) TryAttach(i);
            }
        }
        while (!stopping.WaitOne(Pause));
    }

    private void TryAttach(int i)
    {
        lock (gate) Drop(i);
        try
        {
            var attached = SnapshotAgent.Attach(Options(mine[i]));
            lock (gate) agents[i] = attached;
            told = "";
        }
        catch (PerennialException problem)
        {
            // Said once, tried again: the manager may be coming back.
            Tell(problem.Message);
        }
    }

    private SnapshotAgentOptions Options(SnapshotSlice slice)
    {
        var group = slice.Losses == 0 ? null : new GroupMembers(
            [.. Enumerable.Range(slice.Id - slice.GroupIndex, slice.GroupSize)],
            [.. slices.All.Skip(slice.Number - slice.GroupIndex).Take(slice.GroupSize).Select(member => settings.Managers[member.Node])], slice.Losses, Lag: 0);
        long stands;
        lock (gate) stands = standing;
        return new SnapshotAgentOptions
        {
            Identity = Identity(slice, slices, settings.RunId, state), Epoch = epoch, Manager = settings.Managers[slice.Node], Group = group, Restored = stands,
            BucketBytes = 4 << 20, InlineBytes = 1 << 20, Team = team, Timeout = TimeSpan.FromSeconds(2), AttachPatience = TimeSpan.Zero, OnAlarm = Tell,
        };
    }

    private void Drop(int i)
    {
        agents[i]?.Dispose();
        agents[i] = null;
    }

    private void Tell(string text)
    {
        if (text == told) return;
        told = text;
        alarm(text);
    }
}
