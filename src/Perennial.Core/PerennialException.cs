namespace Perennial.Core;

/// <summary>Process exit codes of the command line (design, section 5).</summary>
public enum ExitCode
{
    /// <summary>The command did what was asked.</summary>
    Done = 0,

    /// <summary>The run failed (disk full, unwritable folder, non-finite loss under policy <c>stop</c>, …).</summary>
    Failed = 1,

    /// <summary>Bad usage or a bad recipe; nothing was touched.</summary>
    Usage = 2,

    /// <summary>Data or a checkpoint is damaged.</summary>
    Damaged = 3,

    /// <summary>A needed native part or resource is missing; the message says how to get it.</summary>
    Missing = 4,

    /// <summary>A worker asks for all workers of its run to be started again (EX_TEMPFAIL of sysexits.h); launchers and schedulers do so.</summary>
    StartAgain = 75,

    /// <summary>Interrupted by a signal; state is saved.</summary>
    Interrupted = 130,
}

/// <summary>
/// An error that a person can act on: one line that says what is wrong, where, and what would be right.
/// The command line prints <see cref="Exception.Message"/> without a stack trace and exits with <see cref="Code"/>.
/// </summary>
/// <param name="code">The exit code that this error leads to.</param>
/// <param name="message">One line: place, problem, cure.</param>
/// <param name="inner">The technical cause, shown in <c>log.txt</c> only.</param>
public sealed class PerennialException(ExitCode code, string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>The exit code that this error leads to.</summary>
    public ExitCode Code { get; } = code;

    /// <summary>Bad usage or recipe (exit 2).</summary>
    public static PerennialException Usage(string message, Exception? inner = null) => new(ExitCode.Usage, message, inner);

    /// <summary>Damaged data or checkpoint (exit 3).</summary>
    public static PerennialException Damaged(string message, Exception? inner = null) => new(ExitCode.Damaged, message, inner);

    /// <summary>A failed run (exit 1).</summary>
    public static PerennialException Failed(string message, Exception? inner = null) => new(ExitCode.Failed, message, inner);

    /// <summary>All workers are to be started again (exit 75).</summary>
    public static PerennialException StartAgain(string message, Exception? inner = null) => new(ExitCode.StartAgain, message, inner);

    /// <summary>A missing native part or resource (exit 4).</summary>
    public static PerennialException Missing(string message, Exception? inner = null) => new(ExitCode.Missing, message, inner);
}
