namespace Perennial.Data.Curation;

/// <summary>Names of the files between stages.</summary>
/// <param name="Folder">The work folder.</param>
internal sealed record StageFiles(string Folder)
{
    public string Documents(int segment, int part) => Path.Combine(Folder, $"stage-{segment}-{part:D5}.documents");

    public string Sketches(int segment, int part) => Path.Combine(Folder, $"stage-{segment}-{part:D5}.sketches");

    public string Removed(int segment, int part) => Path.Combine(Folder, $"stage-{segment}-{part:D5}.removed");

    public string Malformed(int part) => Path.Combine(Folder, $"part-{part:D5}.malformed");

    /// <summary>Decisions that the segment of this number carries out.</summary>
    public string Decisions(int segment, int part) => Path.Combine(Folder, $"stage-{segment}-{part:D5}.decisions");

    public static string Task(int segment, int part) => $"stage-{segment}-{part:D5}";
}
