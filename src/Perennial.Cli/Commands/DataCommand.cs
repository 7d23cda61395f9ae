using System.CommandLine;
using Perennial.Cli.Commands.Data;
using Perennial.Cli.Hosting;

namespace Perennial.Cli.Commands;

/// <summary><c>perennial data prepare|stats|inspect|trace|report|filter|dedup|classifier</c>.</summary>
internal static class DataCommand
{
    public static Command Create(CommandContext context) => new("data", "Prepare and look at a recipe's data; clean files without one.")
    {
        DataPrepareCommand.Create(context), DataStatsCommand.Create(context), DataInspectCommand.Create(context), DataTraceCommand.Create(context), DataReportCommand.Create(context),
        DataOperatorsCommand.CreateFilter(context), DataOperatorsCommand.CreateDedup(context), DataClassifierCommand.Create(context), DataSynthesizeCommand.Create(context),
    };

    /// <summary>A run whose recorded mixture is replayed.</summary>
    public static Option<string?> Run() => new("--run") { Description = "A run folder or checkpoint: replay what its mixture decided (needed for mixtures that follow losses)." };

    /// <summary>The recipe that a data command works on.</summary>
    public static Argument<string> RecipeArgument() => new("RECIPE") { Description = "A recipe file." };
}
