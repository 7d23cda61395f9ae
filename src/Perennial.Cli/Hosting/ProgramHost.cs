using System.CommandLine;
using System.CommandLine.Parsing;
using System.Runtime.InteropServices;
using Perennial.Cli.Commands;
using Perennial.Core;
using Perennial.Core.Recipes;

namespace Perennial.Cli.Hosting;

/// <summary>What every command is given.</summary>
/// <param name="Components">Components that recipes may name.</param>
/// <param name="Out">Standard output: results, and JSON lines with <c>--json</c>.</param>
/// <param name="Error">Standard error: everything for people that is not the result.</param>
/// <param name="Cancellation">Set by Ctrl-C and SIGTERM.</param>
public sealed record CommandContext(ComponentRegistry Components, TextWriter Out, TextWriter Error, CancellationToken Cancellation);

/// <summary>Parses, calls, and turns every error into one line and an exit code.</summary>
public static class ProgramHost
{
    /// <summary>Runs a command line.</summary>
    /// <returns>The exit code of the design, section 5.</returns>
    public static int Run(string[] args, TextWriter output, TextWriter error)
    {
        using var interrupted = new CancellationTokenSource();
        void OnSignal(PosixSignalContext signal)
        {
            // The first signal saves and leaves; a second one is left to the system, which ends the process.
            if (interrupted.IsCancellationRequested) return;
            signal.Cancel = true;
            error.WriteLine("interrupted: finishing the step and saving (press again to stop at once)");
            interrupted.Cancel();
        }
        using var sigint = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);
        using var sigterm = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal);
        return Run(args, new CommandContext(ComponentRegistry.ScanHouse(), output, error, interrupted.Token));
    }

    /// <summary>Runs a command line with a given context.</summary>
    public static int Run(string[] args, CommandContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        try
        {
            var parsed = RootCommandFactory.Create(context).Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
            if (parsed.Errors.Count > 0)
            {
                context.Error.WriteLine($"{string.Join(' ', parsed.Errors.Select(problem => problem.Message).Distinct()).ReplaceLineEndings(" ")} See: perennial {CommandPath(parsed)}--help");
                return (int)ExitCode.Usage;
            }
            return parsed.Invoke(new InvocationConfiguration { Output = context.Out, Error = context.Error, EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        }
        catch (Exception thrown)
        {
            return Report(thrown, context);
        }
    }

    private static string CommandPath(ParseResult parsed)
    {
        var names = new List<string>();
        for (SymbolResult? at = parsed.CommandResult; at is CommandResult command; at = at.Parent)
        {
            if (command.Command is not RootCommand) names.Insert(0, command.Command.Name);
        }
        return names.Count == 0 ? "" : string.Join(' ', names) + " ";
    }

    private static int Report(Exception thrown, CommandContext context)
    {
        if (Environment.GetEnvironmentVariable("PERENNIAL_TRACE") == "1") context.Error.WriteLine(thrown);
        switch (thrown)
        {
            case PerennialException known:
                context.Error.WriteLine(known.Message.ReplaceLineEndings(" "));
                return (int)known.Code;
            case OperationCanceledException:
                context.Error.WriteLine("interrupted before training began; nothing was changed");
                return (int)ExitCode.Interrupted;
            case IOException or UnauthorizedAccessException:
                context.Error.WriteLine($"cannot read or write: {thrown.Message.ReplaceLineEndings(" ")}");
                return (int)ExitCode.Failed;
            default:
                context.Error.WriteLine($"unexpected error: {thrown.GetType().Name}: {thrown.Message.ReplaceLineEndings(" ")} (set PERENNIAL_TRACE=1 to see where; please report it)");
                return (int)ExitCode.Failed;
        }
    }
}
