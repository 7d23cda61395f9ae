using System.CommandLine;
using Perennial.Cli.Doctor;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Spectre.Console;

namespace Perennial.Cli.Commands;

/// <summary><c>perennial doctor</c>.</summary>
internal static class DoctorCommand
{
    public static Command Create(CommandContext context)
    {
        var json = CommandExtensions.Json();
        return new Command("doctor", "What this machine has and how fast it is, what is missing and how to get it.") { json }.Does(parsed =>
        {
            var diagnosis = Examination.Run();
            if (parsed.GetValue(json))
                context.Out.WriteJson(diagnosis.ToJson());
            else
            {
                var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(context.Out) });
                console.Write(DiagnosisView.Render(diagnosis, console.Profile.Capabilities.Unicode));
            }
            return diagnosis.IsHealthy ? ExitCode.Done : ExitCode.Missing;
        });
    }
}
