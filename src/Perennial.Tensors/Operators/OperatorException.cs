namespace Perennial.Tensors;

/// <summary>libtorch refused a call: no such operator, or shapes or types that do not fit. Its own message is on standard error.</summary>
/// <param name="message">Names the operator.</param>
public sealed class OperatorException(string message) : Exception(message);
