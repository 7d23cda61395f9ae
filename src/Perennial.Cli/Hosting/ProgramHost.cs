using System.CommandLine;
using System.CommandLine.Parsing;
using System.Diagnostics;
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
    /// <summary>Commands that hear an interruption themselves, to save what they have; all others just end.</summary>
    private static readonly string[] Saving = ["train", "launch", "snapshot-host", "verify-resume", "papers", "data"];

    /// <summary>Signals so soon after the first are about the same interruption.</summary>
    private static readonly TimeSpan SameInterruption = TimeSpan.FromSeconds(1);

    /// <summary>How long a benchmark may take to hear an interruption and remove what it made.</summary>
    private static readonly TimeSpan BenchPatience = TimeSpan.FromSeconds(5);

    /// <summary>Runs a command line.</summary>
    /// <returns>The exit code of the design, section 5.</returns>
    public static int Run(string[] args, TextWriter output, TextWriter error)
    {
        using var interrupted = new CancellationTokenSource();
        var first = 0L;
        void OnSignal(PosixSignalContext signal)
        {
            // The first signal saves and leaves; a second one is left to the system, which ends the process. One interruption may come twice: a terminal
            // and `timeout` signal the whole group, in which a launcher passes the word on to its workers.
            var now = Stopwatch.GetTimestamp();
            var earlier = Interlocked.CompareExchange(ref first, now, 0);
            if (earlier != 0)
            {
                signal.Cancel = Stopwatch.GetElapsedTime(earlier, now) < SameInterruption;
                return;
            }
            signal.Cancel = true;
            if (Saving.Contains(args.FirstOrDefault())) error.WriteLine("interrupted: stopping at the next safe point (press again to stop at once)");
            else if (args.FirstOrDefault() == "bench") Task.Delay(BenchPatience).ContinueWith(_ => End(), TaskScheduler.Default);
            else End();
            interrupted.Cancel();
        }
        void End()
        {
            output.Flush();
            error.Flush();
            AbruptExit.With((int)ExitCode.Interrupted);
        }
        using var sigint = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);
        using var sigterm = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal);
        try
        {
            return Run(args, new CommandContext(ComponentRegistry.ScanHouse(), output, error, interrupted.Token));
        }
        catch (Exception thrown)
        {
            return Report(thrown, error);
        }
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
                context.Error.WriteLine($"{Problem(parsed)} See: perennial {CommandPath(parsed)}--help");
                return (int)ExitCode.Usage;
            }
            return parsed.Invoke(new InvocationConfiguration { Output = context.Out, Error = context.Error, EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        }
        catch (Exception thrown)
        {
            return Report(thrown, context.Error);
        }
    }

    /// <summary>What is wrong, with the command or option that a mistyped word was probably meant to be.</summary>
    private static string Problem(ParseResult parsed)
    {
        var command = parsed.CommandResult.Command;
        var word = parsed.UnmatchedTokens is [var first, ..] ? first : null;
        if (word is null) return string.Join(' ', parsed.Errors.Select(problem => problem.Message).Distinct()).ReplaceLineEndings(" ");
        return word.StartsWith('-') ? $"unknown option '{word}'{Nearest.Hint(word.Split('=')[0], [.. command.Options.Where(option => !option.Hidden).Select(option => option.Name)])}."
            : command.Subcommands.Count > 0 ? $"unknown command '{word}'{Nearest.Hint(word, [.. command.Subcommands.Where(one => !one.Hidden).Select(one => one.Name)])}."
            : $"'{word}' is one argument too many.";
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

    private static int Report(Exception thrown, TextWriter error)
    {
        if (Environment.GetEnvironmentVariable("PERENNIAL_TRACE") == "1") error.WriteLine(thrown);
        switch (thrown)
        {
            case PerennialException known:
                error.WriteLine(known.Message.ReplaceLineEndings(" "));
                return (int)known.Code;
            case OperationCanceledException:
                error.WriteLine("interrupted; nothing half-written was left");
                return (int)ExitCode.Interrupted;
            case IOException or UnauthorizedAccessException:
                error.WriteLine($"cannot read or write: {thrown.Message.ReplaceLineEndings(" ")} {Cure(thrown)}");
                return (int)ExitCode.Failed;
            default:
                error.WriteLine($"unexpected error: {thrown.GetType().Name}: {thrown.Message.ReplaceLineEndings(" ")} (set PERENNIAL_TRACE=1 to see where; please report it)");
                return (int)ExitCode.Failed;
        }
    }

    private static string Cure(Exception thrown) => thrown switch
    {
        UnauthorizedAccessException => "(give this user the right to write there, or name another folder)",
        // ENOSPC and Windows' ERROR_DISK_FULL and ERROR_HANDLE_DISK_FULL.
        IOException { HResult: 28 or unchecked((int)0x80070070) or unchecked((int)0x80070027) } => "(free some space there, or name a folder on another disk, and run the same command again)",
        FileNotFoundException or DirectoryNotFoundException => "(check the path)",
        _ => "(check that the path exists and can be used by this user)",
    };
}
