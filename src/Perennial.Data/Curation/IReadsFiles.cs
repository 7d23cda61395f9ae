namespace Perennial.Data.Curation;

/// <summary>Options of an operator that reads files of its own; their content becomes part of the fingerprint.</summary>
public interface IReadsFiles
{
    /// <summary>Files, folders or globs.</summary>
    IEnumerable<string> Files();
}
