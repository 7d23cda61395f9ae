using Perennial.Core;

namespace Perennial.Data.Sources;

/// <summary>A record that cannot be read: set aside and counted, never passed over in silence.</summary>
/// <param name="Path">The file.</param>
/// <param name="Line">One-based line or row at which it begins; 0 where the format has none.</param>
/// <param name="Offset">Offset of its first byte in the file's content; −1 where unknown.</param>
/// <param name="Bytes">Its length there; −1 where unknown (for example the rest of a file whose compression is broken).</param>
/// <param name="Reason">What is wrong, without numbers, so that it can be counted.</param>
/// <param name="Message">One line for a person: place, problem, cure.</param>
public sealed record MalformedRecord(string Path, long Line, long Offset, long Bytes, string Reason, string Message)
{
    /// <summary>Whether the whole rest of the file is meant.</summary>
    public bool EndsFile { get; init; }

    /// <summary>What a reader that tolerates nothing throws.</summary>
    public PerennialException ToException() => PerennialException.Damaged(Message);
}
