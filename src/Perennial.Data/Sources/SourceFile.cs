namespace Perennial.Data.Sources;

/// <summary>One file of a source.</summary>
/// <param name="Path">Where it lies on this machine.</param>
/// <param name="Name">What provenance calls it: the same, or the address it was fetched from.</param>
public sealed record SourceFile(string Path, string Name);
