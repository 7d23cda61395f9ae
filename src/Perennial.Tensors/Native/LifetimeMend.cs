// Compiled twice: into Perennial.Tensors, and by MSBuild as an inline task (Directory.Build.targets), which takes one
// source file against .NET Standard 2.0. Hence no spans, and the task at the end.
#nullable enable
using System;
using System.IO;

namespace Perennial.Tensors.Native;

/// <summary>
/// Keeps what TorchSharp passes to native code alive until the call returns. Its methods hand <c>Handle</c>s of tensors and scalars over and do not hold
/// the objects: compiled with optimizations, an object may be dead while libtorch still reads what its handle points to, and a collection that another
/// thread causes lets the finalizer free it there (a number that changes under an addition, or a corrupted heap). Code that is compiled for
/// debugging holds its arguments until it returns. So the assembly's <c>DebuggableAttribute</c> is changed from 2 to 0x103, two bytes: the
/// compiler then leaves TorchSharp's thin methods, and only those, unoptimized.
/// </summary>
public static class LifetimeMend
{
    // A custom attribute's value in the metadata (ECMA-335 II.23.3): length 8, prolog 1, DebuggingModes as 32 bits, no named arguments.
    private static readonly byte[] Before = { 8, 1, 0, 2, 0, 0, 0, 0, 0 }, After = { 8, 1, 0, 3, 1, 0, 0, 0, 0 };

    /// <summary>Mends the image of the assembly; the given array is not changed.</summary>
    /// <returns>The mended image, or null where the assembly is not as expected.</returns>
    public static byte[]? Mend(byte[] image)
    {
#if NET
        ArgumentNullException.ThrowIfNull(image);
#endif
        var at = Find(image, 0);
        if (at < 0 || Find(image, at + 1) >= 0) return null;
        var mended = (byte[])image.Clone();
        Array.Copy(After, 0, mended, at, After.Length);
        return mended;
    }

    private static int Find(byte[] image, int from)
    {
        for (var at = from; at <= image.Length - Before.Length; at++)
        {
            var i = 0;
            while (i < Before.Length && image[at + i] == Before[i]) i++;
            if (i == Before.Length) return at;
        }
        return -1;
    }
}

#if !NET
/// <summary>The build's door to the mend: makes the copy that the output folder gets instead of the package's file.</summary>
public sealed class MendLifetimes : Microsoft.Build.Utilities.Task
{
    /// <summary>The assembly in the package cache; only read.</summary>
    [Microsoft.Build.Framework.Required]
    public string Library { get; set; } = "";

    /// <summary>Where the mended copy goes.</summary>
    [Microsoft.Build.Framework.Required]
    public string Copy { get; set; } = "";

    /// <inheritdoc/>
    public override bool Execute()
    {
        if (LifetimeMend.Mend(File.ReadAllBytes(Library)) is not { } mended)
        {
            Log.LogError("{0}: not the TorchSharp that LifetimeMend.cs knows; without the mend tensors may be freed while libtorch reads them", Library);
            return false;
        }
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(Copy))!);
        File.WriteAllBytes(Copy, mended);
        return true;
    }
}
#endif
