using Perennial.Training;

namespace Perennial.Evaluation.Events;

/// <summary>
/// The events of a run as JSON lines, for <c>train --json</c>. The last line is <c>done</c>, or <c>interrupted</c> when the run was
/// stopped before its end and saved.
/// </summary>
/// <param name="output">Where lines go; nothing else may be written there.</param>
public sealed class JsonLines(TextWriter output) : IRunObserver
{
    private readonly RunEventWriter writer = new();

    /// <inheritdoc/>
    public void Observe(RunEvent happened)
    {
        try
        {
            output.Write(writer.Line(happened) + "\n");
            output.Flush();
        }
        catch (IOException)
        {
            // The reader of the pipe has gone; the run is worth more than its echo.
        }
    }
}
