using Perennial.Core;
using Perennial.Experiments.Measured;

namespace Perennial.Experiments.Stages;

/// <summary>What several arms of a paper need alike, such as the base model of a seed: made once, whichever arm comes first, in a folder beside theirs.</summary>
internal static class SharedWork
{
    private const string Mark = "finished";

    /// <summary>The folder of a piece of work, filled. Arms on other threads wait their turn; after a stop the work goes on where it was.</summary>
    /// <param name="context">The arm that asks.</param>
    /// <param name="key">Everything that the work depends on, hashed or short: a part of the folder's name.</param>
    /// <param name="fill">Fills the folder; called again after a stop with what was left.</param>
    public static string Folder(ExperimentContext context, string key, Action<string> fill)
    {
        var folder = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(context.Folder))!, $"base-{key}");
        Directory.CreateDirectory(folder);
        using var turn = Turn(folder + ".lock", context.Cancellation);
        if (File.Exists(Path.Combine(folder, Mark))) return folder;
        fill(folder);
        AtomicFile.WriteText(Path.Combine(folder, Mark), "");
        return folder;
    }

    private static FileStream Turn(string path, CancellationToken cancellation)
    {
        while (true)
        {
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1);
            }
            catch (IOException) when (File.Exists(path))
            {
                cancellation.WaitHandle.WaitOne(500);
                cancellation.ThrowIfCancellationRequested();
            }
        }
    }
}
