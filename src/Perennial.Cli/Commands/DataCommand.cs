using System.CommandLine;
using Perennial.Cli.Commands.Data;
using Perennial.Cli.Hosting;

namespace Perennial.Cli.Commands;

/// <summary><c>perennial data prepare|stats|inspect</c>.</summary>
internal static class DataCommand
{
    public static Command Create(CommandContext context) => new("data", "Prepare and look at a recipe's data.") { DataPrepareCommand.Create(context), DataStatsCommand.Create(context), DataInspectCommand.Create(context) };

    /// <summary>The recipe that a data command works on.</summary>
    public static Argument<string> RecipeArgument() => new("RECIPE") { Description = "A recipe file." };
}
