namespace Perennial.Resilience.Groups;

/// <summary>How one collective call runs.</summary>
/// <param name="Tag">Calls in flight at the same time on one communicator need different tags; calls one after another may share one.</param>
/// <param name="Timeout">The longest wait for a peer; null: the communicator's own. A timeout breaks the communicator.</param>
/// <param name="Cancellation">Cancelling it aborts the communicator, since a half-done collective cannot be taken back.</param>
public readonly record struct CallOptions(uint Tag = 0, TimeSpan? Timeout = null, CancellationToken Cancellation = default);
