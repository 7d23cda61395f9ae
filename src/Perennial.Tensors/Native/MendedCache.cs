namespace Perennial.Tensors.Native;

/// <summary>
/// Keeps the mended copy of <c>libLibTorchSharp.so</c> for programs that did not get one from their build (a thin tool, or a build made
/// on a newer system): a per-user folder, content checked at every start, so that a damaged or planted file is never loaded.
/// </summary>
internal static class MendedCache
{
    /// <summary>The folder for a version: <c>$XDG_CACHE_HOME/perennial/natives/VERSION</c>, by default below <c>~/.cache</c>.</summary>
    internal static string Folder(string torchSharpVersion)
    {
        var root = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
        if (string.IsNullOrEmpty(root)) root = Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
        return Path.Combine(root, "perennial", "natives", torchSharpVersion);
    }

    /// <summary>The path of a file with exactly these bytes, written only if it is not there yet.</summary>
    /// <param name="folder">Made if missing.</param>
    /// <param name="name">File name.</param>
    /// <param name="content">The bytes.</param>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written.</exception>
    internal static string Place(string folder, string name, byte[] content)
    {
        var path = Path.Combine(folder, name);
        if (File.Exists(path) && File.ReadAllBytes(path).AsSpan().SequenceEqual(content)) return path;
        Directory.CreateDirectory(folder);
        // Two processes may start at once: each writes its own file, the renames are atomic, the bytes are the same.
        var temporary = $"{path}.{Environment.ProcessId}.partial";
        File.WriteAllBytes(temporary, content);
        File.Move(temporary, path, overwrite: true);
        return path;
    }
}
