using System.CommandLine;
using Perennial.Cli.Commands.Bench;
using Perennial.Cli.Hosting;

namespace Perennial.Cli.Commands;

/// <summary><c>perennial bench NAME</c>.</summary>
internal static class BenchCommand
{
    public static Command Create(CommandContext context) => new("bench", "Measure speed side by side with the machine's own ceilings.")
    {
        BenchTrainCommand.Create(context), BenchOptimizersCommand.Create(context),
        BenchLayersCommand.Create(context), BenchGemmCommand.Create(context),
        BenchMemoryCommand.Create(context), BenchParityCommand.Create(context), BenchCollectivesCommand.Create(context),
        BenchDataCommand.Create(context), BenchPlantedCommand.Create(context), BenchScaleCommand.Create(context),
        BenchTokenizerCommand.Create(context), BenchLoaderCommand.Create(context),
        BenchSnapshotCommand.Create(context), BenchRecoveryCommand.Create(context), BenchFaultsCommand.Create(context),
        BenchCheckpointCommand.Create(context),
    };
}
