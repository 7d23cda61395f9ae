using System.Runtime.InteropServices;

namespace Perennial.Tensors.Tests.Native;

/// <summary>Hard links, which .NET has no call for.</summary>
internal static partial class HardLink
{
    public static void Create(string existing, string link)
    {
        if (OperatingSystem.IsWindows()) Assert.True(CreateHardLinkW(link, existing, 0));
        else Assert.Equal(0, Link(existing, link));
    }

    [LibraryImport("libc", EntryPoint = "link", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Link(string existing, string link);

    [LibraryImport("kernel32", StringMarshalling = StringMarshalling.Utf16)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool CreateHardLinkW(string link, string existing, nint security);
}
