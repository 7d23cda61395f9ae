using Perennial.Core;
using Perennial.Data;
using Perennial.Models;
using Perennial.Optimization;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Simulation;
using Perennial.Resilience.Universal;
using Perennial.Tensors;
using Perennial.Training.Parallel;

namespace Perennial.Experiments.Resilience;

/// <summary>Small worlds of every parallel shape that train one decoder on the same made-up text: what the layout experiments are made of.</summary>
internal static class LayoutWorlds
{
    private const int Rows = 8, Time = 32;

    private const int Vocabulary = 131;

    /// <summary>Grouped-query heads, an inner width that four ranks cut unevenly, a vocabulary that wants padding, a tied head.</summary>
    private static DecoderConfig Config(int width) => new()
    {
        Family = ModelFamily.Llama, Vocabulary = Vocabulary, Context = Time, Width = width, Layers = 4, Heads = 4, KeyValueHeads = 2, HeadWidth = width / 4, Intermediate = width * 11 / 4, TiedHead = true,
    };

    /// <summary>A world of a shape, with weights of a seed.</summary>
    public static LocalWorld Make(string shape, ulong seed, int width = 64)
    {
        var world = new LocalWorld(Config(width), ParallelShape.Parse(shape), parameters => new AdamW(new AdamWOptions { Rate = 3e-3 }, parameters));
        world.Initialize(seed);
        return world;
    }

    /// <summary>A batch of a step: each token follows from the one before by a noisy rule, so that there is something to learn.</summary>
    public static TokenBatch Batch(ulong seed, long step)
    {
        var random = new RandomStream(seed, (ulong)step + 17);
        var (inputs, targets) = (new long[Rows * Time], new long[Rows * Time]);
        for (var row = 0; row < Rows; row++)
        {
            var token = random.Below(Vocabulary);
            for (var i = 0; i < Time; i++)
            {
                inputs[row * Time + i] = token;
                token = random.Uniform() < 0.2 ? random.Below(Vocabulary) : (token * 7 + 3) % Vocabulary;
                targets[row * Time + i] = token;
            }
        }
        return new TokenBatch(Rows, Time) { Inputs = inputs, Targets = targets, SampleIds = [.. Enumerable.Range(0, Rows).Select(row => step * Rows + row)] };
    }

    /// <summary>Steps from one number to another, both included; the losses.</summary>
    public static List<double> Train(LocalWorld world, ulong seed, long first, long last)
    {
        var losses = new List<double>();
        for (var step = first; step <= last; step++) losses.Add(world.Step(Batch(seed, step), step, 3e-3).Loss);
        return losses;
    }

    /// <summary>Saves a world into a fresh folder.</summary>
    public static UniversalManifest Save(LocalWorld world, string folder, long step)
    {
        if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
        Directory.CreateDirectory(folder);
        return world.Save(folder, Progress(step));
    }

    /// <summary>What is not a tensor, after so many steps.</summary>
    public static ProgressRecord Progress(long step) =>
        new(step, step * Rows * Time, step * Rows, new Dictionary<string, ulong> { ["dropout"] = 11, ["order"] = 12 }, new Dictionary<string, long> { ["adamw"] = step }, new Dictionary<string, string> { ["rate"] = "0.003" });

    /// <summary>Whether two states hold the same logical tensors, bit for bit, by their position-keyed digests.</summary>
    public static bool Equal(UniversalManifest left, UniversalManifest right) =>
        left.Summary.Slots.Count == right.Summary.Slots.Count && left.Summary.Slots.All(slot =>
            right.Summary.Slots.FirstOrDefault(other => other.Slot.Name == slot.Slot.Name) is { } twin && slot.Tensors.Count == twin.Tensors.Count
            && slot.Tensors.All(tensor => twin.Tensors.TryGetValue(tensor.Key, out var digest) && digest == tensor.Value));
}
