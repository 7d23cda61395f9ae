using System.CommandLine;
using Perennial.Cli.Commands;

namespace Perennial.Cli.Hosting;

/// <summary>The command tree.</summary>
public static class RootCommandFactory
{
    /// <summary>Every command, bound to a context.</summary>
    public static RootCommand Create(CommandContext context) => new("Perennial pre-trains language models, keeps them learning, and never loses a step.")
    {
        TrainCommand.Create(context),
        LaunchCommand.Create(context),
        SnapshotHostCommand.Create(context),
        EvaluateCommand.Create(context),
        ScoreCommand.Create(context),
        GenerateCommand.Create(context),
        DataCommand.Create(context),
        CheckpointCommand.Create(context),
        VerifyResumeCommand.Create(context),
        PapersCommand.Create(context),
        BenchCommand.Create(context),
        SimulateCommand.Create(context),
        DoctorCommand.Create(context),
        SchemaCommand.Create(context),
        ComponentsCommand.Create(context),
    };
}
