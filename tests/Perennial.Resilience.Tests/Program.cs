using Perennial.Resilience.Tests.Groups;
using Xunit.MicrosoftTestingPlatform;
using Xunit.Runner.InProc.SystemConsole;

namespace Perennial.Resilience.Tests;

/// <summary>Runs the tests, or one worker of the tests that kill processes.</summary>
internal static class Program
{
    public static async Task<int> Main(string[] args)
    {
        if (args is [GlooWorker.Command, var store, var run]) return GlooWorker.Run(store, run);
        if (args is [NcclWorker.Command, .. var words]) return NcclWorker.Run(words);
        return args.Any(arg => arg is "--server" or "--internal-msbuild-node")
            ? await TestPlatformTestFramework.RunAsync(args, SelfRegisteredExtensions.AddSelfRegisteredExtensions)
            : await ConsoleRunner.Run(args);
    }
}
