using Perennial.Tensors;

namespace Perennial.Optimization.Tests;

/// <summary>Steps an optimizer and a plain reference in double side by side.</summary>
internal sealed class ReferenceRun
{
    private readonly Dictionary<string, double[,]> state = [];

    public const double Rate = 1e-2, Scale = 0.7;

    /// <summary>The reference's parameters.</summary>
    public double[] Values { get; private set; } = [];

    /// <summary>This step's gradients, unscaled.</summary>
    public double[] Gradients { get; private set; } = [];

    public int Step { get; private set; }

    /// <summary>A matrix that the reference remembers; zeros at first.</summary>
    public double[,] Kept(string name, int rows, int columns) => state.TryGetValue(name, out var kept) ? kept : state[name] = new double[rows, columns];

    public void Keep(string name, double[,] values) => state[name] = values;

    /// <summary>Largest difference of any parameter after some steps.</summary>
    /// <param name="optimizer">Its recipe.</param>
    /// <param name="steps">Steps.</param>
    /// <param name="reference">One step of the reference.</param>
    /// <param name="inspect">Sees optimizer, parameters and reference at the end.</param>
    public static double[] Differences(string optimizer, int steps, Action<ReferenceRun, FlatLayout> reference, Action<IOptimizer, FlatParameters, ReferenceRun>? inspect = null)
    {
        using var parameters = Sample.Parameters();
        using var made = Sample.Spec(optimizer).Create(parameters);
        var run = new ReferenceRun { Values = Array.ConvertAll(Sample.Floats(parameters.Values), x => (double)x) };
        for (run.Step = 1; run.Step <= steps; run.Step++)
        {
            Sample.Draw(parameters.Gradients, 100 + run.Step, 0.3);
            run.Gradients = Array.ConvertAll(Sample.Floats(parameters.Gradients), x => (double)x);
            made.Step(run.Step, Rate, Scale);
            reference(run, parameters.Layout);
        }
        inspect?.Invoke(made, parameters, run);
        return [.. Sample.Floats(parameters.Values).Zip(run.Values, (mine, theirs) => Math.Abs(mine - theirs))];
    }

    /// <summary>Adam by its formula on one entry.</summary>
    public void Adam(FlatEntry entry, double rate, double beta1, double beta2, double epsilon, double decay)
    {
        var n = (int)entry.Length;
        var (m, v) = (Kept(entry.Name + ".m", 1, n), Kept(entry.Name + ".v", 1, n));
        for (var i = 0; i < n; i++)
        {
            var g = Gradients[entry.Offset + i] * Scale;
            m[0, i] = beta1 * m[0, i] + (1 - beta1) * g;
            v[0, i] = beta2 * v[0, i] + (1 - beta2) * g * g;
            Move(entry, i, rate, m[0, i] / (1 - Math.Pow(beta1, Step)) / (Math.Sqrt(v[0, i] / (1 - Math.Pow(beta2, Step))) + epsilon), decay);
        }
    }

    /// <summary>p ← p·(1 − rate·decay) − rate·direction.</summary>
    public void Move(FlatEntry entry, int i, double rate, double direction, double decay)
    {
        ref var p = ref Values[entry.Offset + i];
        p = p * (entry.Decays ? 1 - rate * decay : 1) - rate * direction;
    }

    /// <summary>Calls <paramref name="body"/> for the separate matrices of an entry: name, gradient (scaled), first column.</summary>
    public void EachMatrix(FlatEntry entry, Action<string, double[,], int> body)
    {
        var gradient = Sample.Matrix(Gradients, entry).Map(x => x * Scale);
        var first = 0;
        foreach (var (width, number) in (entry.Columns.Count == 0 ? [entry.Shape[1]] : entry.Columns).Select((width, i) => ((int)width, i)))
        {
            body($"{entry.Name}{number}", Sample.Columns(gradient, first, width), first);
            first += width;
        }
    }

    /// <summary>Moves a matrix by a direction.</summary>
    public void Move(FlatEntry entry, double[,] direction, int first, double rate, double decay)
    {
        for (var i = 0; i < direction.GetLength(0); i++)
            for (var j = 0; j < direction.GetLength(1); j++) Move(entry, (int)(i * entry.Shape[1]) + first + j, rate, direction[i, j], decay);
    }
}
