using System.Text.Json.Nodes;
using Perennial.Data;
using Perennial.Tensors;

namespace Perennial.Training.Practices;

/// <summary>A practice that does nothing at any hook: derive and override the hooks that yours needs.</summary>
public abstract class Practice : IPractice
{
    /// <inheritdoc/>
    public virtual IReadOnlyList<StateSlot> Slots => [];

    /// <inheritdoc/>
    public virtual IReadOnlyList<StateSlot> Exports => [];

    /// <inheritdoc/>
    public virtual JsonObject? Save() => null;

    /// <inheritdoc/>
    public virtual void Load(JsonObject state) { }

    /// <inheritdoc/>
    public virtual int FreshRows(PracticeContext context, int rows) => rows;

    /// <inheritdoc/>
    public virtual TokenBatch BeforeBatch(PracticeContext context, TokenBatch batch) => batch;

    /// <inheritdoc/>
    public virtual void AfterBackward(PracticeContext context) { }

    /// <inheritdoc/>
    public virtual void AfterStep(PracticeContext context) { }

    /// <inheritdoc/>
    public virtual void Committed(PracticeContext context, long position, IReadOnlyList<long> samples) { }

    /// <inheritdoc/>
    public virtual void StageEnded(PracticeContext context) { }

    /// <inheritdoc/>
    public virtual void AtInterval(PracticeContext context) { }

    /// <inheritdoc/>
    public virtual void Dispose() => GC.SuppressFinalize(this);
}
