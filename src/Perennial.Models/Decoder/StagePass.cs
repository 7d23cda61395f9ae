using static TorchSharp.torch;

namespace Perennial.Models;

/// <summary>Where the residual stream enters a pipeline stage that is not the first, and where its gradient comes out again.</summary>
/// <param name="Stream">The stream, float32 <c>[tokens, width]</c>; stays the caller's.</param>
public sealed class StageInput(Tensor Stream)
{
    /// <summary>The stream, float32 <c>[tokens, width]</c>.</summary>
    public Tensor Stream { get; } = Stream;

    /// <summary>Its gradient after the backward pass, float32 <c>[tokens, width]</c>; the caller disposes it.</summary>
    public Tensor? Gradient { get; internal set; }
}

/// <summary>One micro-batch's forward pass through a stage that is not the last.</summary>
public sealed class StagePass
{
    internal StagePass(Tensor output, KeptForBackward kept, StageInput? input) => (Output, Kept, Input) = (output, kept, input);

    /// <summary>The stream as it leaves the stage, float32 <c>[tokens, width]</c>; the caller disposes it.</summary>
    public Tensor Output { get; }

    internal KeptForBackward Kept { get; }

    internal StageInput? Input { get; }
}
