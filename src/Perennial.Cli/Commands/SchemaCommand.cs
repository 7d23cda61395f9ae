using System.CommandLine;
using System.Text.Encodings.Web;
using System.Text.Json;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Training.Recipes;

namespace Perennial.Cli.Commands;

/// <summary><c>perennial schema</c>.</summary>
internal static class SchemaCommand
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static Command Create(CommandContext context) => new Command("schema", "Print the JSON Schema of recipes, for editors to complete and check them.").Does(_ =>
    {
        context.Out.WriteLine(new RecipeSchema(context.Components).Of(typeof(Recipe)).ToJsonString(Indented));
        return ExitCode.Done;
    });
}
