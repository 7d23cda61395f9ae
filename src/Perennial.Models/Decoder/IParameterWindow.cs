namespace Perennial.Models;

/// <summary>
/// Lets a model compute with weights that live elsewhere (ZeRO 3, Rajbhandari et al. 2020): a stretch of the flat parameters is filled where
/// a layer begins and let go where it ends. Every process of a data group makes the same calls in the same order.
/// </summary>
public interface IParameterWindow
{
    /// <summary>Fills a stretch of the flat values.</summary>
    /// <param name="first">First element.</param>
    /// <param name="length">Elements.</param>
    void Open(long first, long length);

    /// <summary>Lets a stretch of the flat values go: nobody reads it before it is opened again.</summary>
    void Close(long first, long length);

    /// <summary>Takes a stretch of the flat gradient over, to which this pass adds no more, and leaves zeros.</summary>
    void Collect(long first, long length);
}
