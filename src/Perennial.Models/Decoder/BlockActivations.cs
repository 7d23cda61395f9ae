namespace Perennial.Models;

/// <summary>What one block keeps between forward and backward; rows are tokens.</summary>
internal sealed class BlockActivations
{
    /// <summary>The residual stream at the block's start, float32.</summary>
    public Activation? Input { get; set; }

    /// <summary>The residual stream after attention, float32.</summary>
    public Activation? Middle { get; set; }

    /// <summary>Mean and inverse deviation of the first norm, float32 <c>[tokens, 2]</c>.</summary>
    public Activation? AttentionStatistics { get; set; }

    /// <summary>The same of the second.</summary>
    public Activation? FeedForwardStatistics { get; set; }

    /// <summary>What the first norm gave.</summary>
    public Activation? AttentionInput { get; set; }

    /// <summary>Queries, keys and values as attention reads them.</summary>
    public Activation? QueryKeyValue { get; set; }

    /// <summary>Logarithms of the softmax's denominators, float32 <c>[batch · heads, time]</c>.</summary>
    public Activation? Logarithms { get; set; }

    /// <summary>What attention gave.</summary>
    public Activation? Mixed { get; set; }

    /// <summary>What the second norm gave.</summary>
    public Activation? FeedForwardInput { get; set; }

    /// <summary>The feed-forward part before its nonlinearity.</summary>
    public Activation? Inner { get; set; }

    /// <summary>Gives everything but the input back, and that too unless <paramref name="keepInput"/>.</summary>
    public void Return(ActivationPool pool, bool keepInput, bool keepMiddle = false)
    {
        if (!keepInput) (Input, _) = (null, Give(Input));
        if (!keepMiddle) (Middle, _) = (null, Give(Middle));
        (AttentionStatistics, _) = (null, Give(AttentionStatistics));
        (FeedForwardStatistics, _) = (null, Give(FeedForwardStatistics));
        (AttentionInput, _) = (null, Give(AttentionInput));
        (QueryKeyValue, _) = (null, Give(QueryKeyValue));
        (Logarithms, _) = (null, Give(Logarithms));
        (Mixed, _) = (null, Give(Mixed));
        (FeedForwardInput, _) = (null, Give(FeedForwardInput));
        (Inner, _) = (null, Give(Inner));

        object? Give(Activation? activation)
        {
            pool.Return(activation);
            return null;
        }
    }
}
