using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Core;

namespace Perennial.Cli.Hosting;

/// <summary>Small helpers that commands share.</summary>
internal static class CommandExtensions
{
    /// <summary>The <c>--json</c> option.</summary>
    public static Option<bool> Json() => new("--json") { Description = "Write JSON lines to standard output, and nothing else there." };

    /// <summary>The repeatable <c>--set</c> option.</summary>
    public static Option<string[]> Set() => new("--set") { Description = "Override a recipe key: --set model.layers=8 (repeatable).", AllowMultipleArgumentsPerToken = false };

    /// <summary>Writes one JSON line.</summary>
    public static void WriteJson(this TextWriter writer, JsonObject json)
    {
        writer.WriteLine(json.ToJsonString());
        writer.Flush();
    }

    /// <summary>Leaves a command out of help.</summary>
    public static Command Hides(this Command command)
    {
        command.Hidden = true;
        return command;
    }

    /// <summary>Sets a command's action to a function of its parse result that returns an exit code.</summary>
    public static Command Does(this Command command, Func<ParseResult, ExitCode> action)
    {
        command.SetAction(parsed => (int)action(parsed));
        return command;
    }

    /// <summary>A number for JSON: null where JSON has no word for it.</summary>
    public static JsonNode? Number(double value) => double.IsFinite(value) ? JsonValue.Create(value) : null;
}
