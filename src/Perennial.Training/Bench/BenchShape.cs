using Perennial.Models;

namespace Perennial.Training.Bench;

/// <summary>What <c>bench train</c> times.</summary>
/// <param name="Name">Its name in the table.</param>
/// <param name="Config">The decoder.</param>
/// <param name="Rows">Sequences of a step.</param>
/// <param name="MicroRows">Sequences of a micro-batch.</param>
/// <param name="Time">Tokens of a sequence.</param>
public sealed record BenchShape(string Name, DecoderConfig Config, int Rows, int MicroRows, int Time)
{
    /// <summary>The quickstart recipe's model, 32 windows.</summary>
    public static BenchShape Quickstart { get; } = new(
        "quickstart", new LlamaArchitecture(new LlamaOptions { Layers = 6, Width = 256, Heads = 8, Context = 256 }).Describe(4096, 0), 32, 16, 256);

    /// <summary>The quickstart recipe's model with its batch of 8 windows.</summary>
    public static BenchShape QuickstartBatch { get; } = Quickstart with { Name = "quickstart-8", Rows = 8, MicroRows = 8 };

    /// <summary>GPT-2 with 124 M parameters, one sequence of 256 tokens.</summary>
    public static BenchShape Gpt2 { get; } = new(
        "gpt2-124m", new Gpt2Architecture(new Gpt2Options { Layers = 12, Width = 768, Heads = 12, Context = 1024 }).Describe(50257, 50256), 1, 1, 256);

    /// <summary>Tokens of one step.</summary>
    public long Tokens => (long)Rows * Time;

    /// <summary>Floating-point operations of one step; see <see cref="TrainingFlops"/>.</summary>
    public double Flops => TrainingFlops.PerToken(Config, Time) * Tokens;
}
