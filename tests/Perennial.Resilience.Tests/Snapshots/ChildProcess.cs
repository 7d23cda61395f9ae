using System.Diagnostics;
using System.Reflection;
using System.Runtime.CompilerServices;

namespace Perennial.Resilience.Tests.Snapshots;

/// <summary>
/// Runs parts of a test in processes of their own, so that a kill is a kill: the test assembly started with <c>--perennial-child ROLE …</c>
/// plays the role instead of running tests.
/// </summary>
internal static class ChildProcess
{
    private const string Mark = "--perennial-child";

    public static ProcessStartInfo Command(params string[] arguments)
    {
        var self = Environment.ProcessPath!;
        string[] prefix = Path.GetFileNameWithoutExtension(self) == "dotnet" ? ["exec", typeof(ChildProcess).Assembly.Location] : [];
        return new(self, [.. prefix, Mark, .. arguments]) { RedirectStandardOutput = true, RedirectStandardInput = true };
    }

    public static Process Start(params string[] arguments) => Process.Start(Command(arguments))!;

    /// <summary>kill -9, and waits until the process is gone.</summary>
    public static void KillNow(this Process process)
    {
        process.Kill();
        process.WaitForExit();
    }

    /// <summary>Reads the child's output up to a line.</summary>
    public static void WaitFor(this Process process, string line)
    {
        var seen = new List<string>();
        while (process.StandardOutput.ReadLine() is { } read)
        {
            if (read == line) return;
            seen.Add(read);
        }
        Assert.Fail($"the child ended without '{line}', after: {string.Join(" | ", seen)}");
    }

    [ModuleInitializer]
    internal static void Divert()
    {
        var arguments = Environment.GetCommandLineArgs();
        var at = Array.IndexOf(arguments, Mark);
        if (at < 0 || AppContext.GetData(Mark) is not null) return;
        AppContext.SetData(Mark, true);
        // Other threads must wait for this initializer before they may run this module's code. A second copy of the module has finished its own.
        var copy = Assembly.LoadFile(typeof(ChildProcess).Assembly.Location).GetType(typeof(ChildRoles).FullName!)!;
        Environment.Exit((int)copy.GetMethod(nameof(ChildRoles.Play), BindingFlags.Static | BindingFlags.Public)!.Invoke(null, [arguments[(at + 1)..]])!);
    }
}
