using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;

namespace Perennial.Cli.Commands;

/// <summary><c>perennial components</c>.</summary>
internal static class ComponentsCommand
{
    public static Command Create(CommandContext context)
    {
        var json = CommandExtensions.Json();
        return new Command("components", "List everything a recipe can name, by role.") { json }.Does(parsed =>
        {
            foreach (var role in context.Components.All.GroupBy(component => component.Role))
            {
                if (!parsed.GetValue(json)) context.Out.WriteLine(role.Key);
                foreach (var component in role)
                {
                    if (parsed.GetValue(json)) context.Out.WriteJson(new JsonObject { ["role"] = component.Role, ["kind"] = component.Kind, ["help"] = component.Summary, ["type"] = component.Implementation.FullName });
                    else context.Out.WriteLine($"  {component.Kind,-16} {FirstSentence(component.Summary)}");
                }
            }
            return ExitCode.Done;
        });
    }

    // A sentence ends at a full stop before a capital, but not in "et al. 2019".
    private static string FirstSentence(string text)
    {
        for (var at = text.IndexOf(". ", StringComparison.Ordinal); at > 0; at = text.IndexOf(". ", at + 1, StringComparison.Ordinal))
        {
            if (at + 2 < text.Length && char.IsUpper(text[at + 2])) return text[..(at + 1)];
        }
        return text;
    }
}
