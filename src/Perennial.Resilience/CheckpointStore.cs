using System.Globalization;
using Perennial.Core;

namespace Perennial.Resilience;

/// <summary>A whole checkpoint on disk.</summary>
/// <param name="Step">Its step.</param>
/// <param name="Folder">Its folder.</param>
public sealed record CheckpointEntry(long Step, string Folder);

/// <summary>
/// The <c>checkpoints/</c> of a run. A checkpoint appears by one rename after all its files and its manifest are on disk; readers
/// take the newest whole one; the last whole one is never deleted.
/// </summary>
/// <param name="root">The folder that holds <c>step-N</c> folders.</param>
/// <param name="writer">Tells what this process begins from what another begins at the same step, should two ever; null for the usual one.</param>
public sealed class CheckpointStore(string root, string? writer = null)
{
    private const string Prefix = "step-";
    private const string Unfinished = AtomicFile.TemporarySuffix;
    private const string Outgoing = ".old";

    /// <summary>The folder that holds them.</summary>
    public string Root { get; } = root;

    /// <summary>The folder of a step.</summary>
    public string FolderOf(long step) => Path.Combine(Root, Prefix + step.ToString(CultureInfo.InvariantCulture));

    /// <summary>All finished folders by step, newest first; whether they are whole is not looked at.</summary>
    public IReadOnlyList<CheckpointEntry> List() => !Directory.Exists(Root) ? [] :
        [.. Directory.EnumerateDirectories(Root, Prefix + "*")
            .Select(folder => (folder, parsed: long.TryParse(Path.GetFileName(folder)[Prefix.Length..], NumberStyles.None, CultureInfo.InvariantCulture, out var step), step))
            .Where(entry => entry.parsed).OrderByDescending(entry => entry.step).Select(entry => new CheckpointEntry(entry.step, entry.folder))];

    /// <summary>The newest whole checkpoint, or null. Damaged ones are passed over, each told with its reason.</summary>
    public CheckpointEntry? Newest(Action<string> passedOver)
    {
        ArgumentNullException.ThrowIfNull(passedOver);
        foreach (var entry in List())
        {
            var problem = Problem(entry);
            if (problem is null) return entry;
            passedOver($"checkpoint {entry.Folder} is passed over: {problem}");
        }
        return null;
    }

    /// <summary>What is wrong with a checkpoint, or null.</summary>
    public static string? Problem(CheckpointEntry entry)
    {
        ArgumentNullException.ThrowIfNull(entry);
        try
        {
            return CheckpointManifest.Read(entry.Folder).Problems(entry.Folder).FirstOrDefault();
        }
        catch (PerennialException damaged)
        {
            return damaged.Message;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return error.Message;
        }
    }

    /// <summary>Removes what interrupted writes left behind.</summary>
    public void Clean()
    {
        if (!Directory.Exists(Root)) return;
        foreach (var folder in Directory.EnumerateDirectories(Root, Prefix + "*").Where(folder => folder.EndsWith(Unfinished, StringComparison.Ordinal) || folder.EndsWith(Outgoing, StringComparison.Ordinal)).ToList())
            Directory.Delete(folder, recursive: true);
    }

    /// <summary>Writes a checkpoint: fills a temporary folder, adds the manifest, makes all durable, renames, then deletes what is beyond <paramref name="keep"/>.</summary>
    /// <param name="step">Its step.</param>
    /// <param name="fill">Writes the files into the folder it is given (through <see cref="AtomicFile"/>, so that they are durable).</param>
    /// <param name="keep">How many of the newest stay; at least 1.</param>
    /// <param name="pinned">A step whose checkpoint stays beside them; null for none.</param>
    /// <returns>The folder and its bytes.</returns>
    /// <exception cref="IOException">The disk is full or the folder cannot be written; older checkpoints stand.</exception>
    public (string Folder, long Bytes) Write(long step, Action<string> fill, int keep, long? pinned = null)
    {
        ArgumentNullException.ThrowIfNull(fill);
        var temporary = Begin(step);
        try
        {
            fill(temporary);
        }
        catch
        {
            TryDelete(temporary);
            throw;
        }
        return Publish(step, keep, pinned: pinned);
    }

    /// <summary>An empty folder for a checkpoint that several processes write; it is no checkpoint before <see cref="Publish"/>.</summary>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    public string Begin(long step)
    {
        var temporary = TemporaryOf(step);
        if (Directory.Exists(temporary)) Directory.Delete(temporary, recursive: true);
        Directory.CreateDirectory(temporary);
        return temporary;
    }

    /// <summary>The folder that <see cref="Begin"/> makes.</summary>
    public string TemporaryOf(long step) => FolderOf(step) + (writer is null ? "" : "." + writer) + Unfinished;

    /// <summary>Makes what was begun a checkpoint: adds the manifest, makes all durable, renames, then deletes what is beyond <paramref name="keep"/>.</summary>
    /// <param name="step">Its step.</param>
    /// <param name="keep">How many of the newest stay; at least 1.</param>
    /// <param name="known">Files whose checksums their writers know already; they are not read again.</param>
    /// <param name="pinned">A step whose checkpoint stays beside them; null for none.</param>
    /// <returns>The folder and its bytes.</returns>
    /// <exception cref="IOException">The disk is full or the folder cannot be written; older checkpoints stand.</exception>
    public (string Folder, long Bytes) Publish(long step, int keep, IReadOnlyList<ManifestFile>? known = null, long? pinned = null)
    {
        var (final, temporary) = (FolderOf(step), TemporaryOf(step));
        CheckpointManifest manifest;
        try
        {
            manifest = CheckpointManifest.Of(temporary, step, known);
            manifest.Write(temporary);
            foreach (var folder in Directory.EnumerateDirectories(temporary, "*", SearchOption.AllDirectories)) AtomicFile.FlushFolder(folder);
        }
        catch
        {
            TryDelete(temporary);
            throw;
        }
        if (Directory.Exists(final))
        {
            // A damaged checkpoint of the same step that a resume passed over, or the same step written again.
            if (Directory.Exists(final + Outgoing)) Directory.Delete(final + Outgoing, recursive: true);
            Directory.Move(final, final + Outgoing);
        }
        Directory.Move(temporary, final);
        AtomicFile.FlushFolder(Root);
        TryDelete(final + Outgoing);
        Prune(step, Math.Max(1, keep), pinned);
        return (final, manifest.Files.Sum(file => file.Bytes));
    }

    /// <summary>
    /// Deletes the oldest, never the one just written; folders of later steps than it (damaged: a resume passed over them) go too, and what interrupted
    /// writes of earlier steps left.
    /// </summary>
    private void Prune(long newest, int keep, long? pinned)
    {
        foreach (var entry in List().Where(entry => entry.Step > newest).Concat(List().Where(entry => entry.Step <= newest && entry.Step != pinned).Skip(keep)).ToList())
            TryDelete(entry.Folder);
        foreach (var leftover in Directory.EnumerateDirectories(Root, Prefix + "*" + Unfinished).ToList())
            if (long.TryParse(Path.GetFileName(leftover)[Prefix.Length..].Split('.')[0], NumberStyles.None, CultureInfo.InvariantCulture, out var step) && step < newest) TryDelete(leftover);
    }

    private static void TryDelete(string folder)
    {
        try
        {
            if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // Left for the next cleaning; a leftover is never taken for a checkpoint.
        }
    }
}
