using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Optimization.Tests;

/// <summary>Every optimizer against its formula written plainly in double, over several steps. Parameters are about 0.1, steps 0.01: tolerances are absolute.</summary>
public class ReferenceTests
{
    private const double Rate = ReferenceRun.Rate, Scale = ReferenceRun.Scale;

    [Theory]
    [InlineData("float32", 1e-6)]
    [InlineData("bfloat16", 1e-6)]
    public void Lion(string momentum, double tolerance)
    {
        var ties = 0;
        var differences = ReferenceRun.Differences($"{{ kind: lion, decay: 0.3, momentum: {momentum} }}", 8, (run, layout) =>
        {
            foreach (var entry in layout.Entries)
            {
                var m = run.Kept(entry.Name, 1, (int)entry.Length);
                for (var i = 0; i < entry.Length; i++)
                {
                    var g = run.Gradients[entry.Offset + i] * Scale;
                    var c = 0.9 * m[0, i] + 0.1 * g;
                    if (Math.Abs(c) < 2e-7) ties++;
                    run.Move(entry, i, Rate, Math.Sign(c), 0.3);
                    m[0, i] = 0.99 * m[0, i] + 0.01 * g;
                    if (momentum == "bfloat16") m[0, i] = Rounded(m[0, i]);
                }
            }
        });
        // A sign that hangs on the last digit may fall either way.
        Assert.True(differences.Count(difference => difference > tolerance) <= ties, $"largest difference {differences.Max()}, {ties} ties");
    }

    [Theory]
    [InlineData("float32", 2e-6, true)]
    [InlineData("float32", 2e-6, false)]
    [InlineData("fixed16", 1e-4, true)]
    [InlineData("bfloat16", 2e-3, true)] // 8 bits through five iterations, over updates of 0.01 · 0.2 · √21
    public void Muon(string products, double tolerance, bool nesterov)
    {
        var differences = ReferenceRun.Differences($"{{ kind: muon, products: {products}, nesterov: {(nesterov ? "true" : "false")}, other-rate: 0.5 }}", 4, (run, layout) =>
        {
            foreach (var entry in layout.Entries)
            {
                if (entry.Kind != EntryKind.Matrix)
                {
                    run.Adam(entry, Rate * 0.5, 0.9, 0.95, 1e-8, 0.1);
                    continue;
                }
                run.EachMatrix(entry, (name, g, first) =>
                {
                    var m = run.Kept(name, g.GetLength(0), g.GetLength(1)).With(g, (old, gradient) => 0.95 * old + gradient);
                    run.Keep(name, m);
                    var u = nesterov ? m.With(g, (moment, gradient) => gradient + 0.95 * moment) : m;
                    var size = 0.2 * Math.Sqrt(Math.Max(g.GetLength(0), g.GetLength(1)));
                    run.Move(entry, NewtonSchulz(u).Map(x => x * size), first, Rate, 0.1);
                });
            }
        });
        Assert.True(differences.Max() < tolerance, $"largest difference {differences.Max()}");
    }

    private static double[,] NewtonSchulz(double[,] u)
    {
        var isTall = u.GetLength(0) > u.GetLength(1);
        var norm = u.Norm() + 1e-8;
        var x = (isTall ? u.Turned() : u).Map(value => value / norm);
        for (var i = 0; i < 5; i++)
        {
            var a = x.Times(x.Turned());
            x = x.With(a.Map(value => -4.7750 * value).With(a.Times(a), (linear, square) => linear + 2.0315 * square).Times(x), (old, rest) => 3.4445 * old + rest);
        }
        return isTall ? x.Turned() : x;
    }

    [Theory]
    [InlineData(0, false)]
    [InlineData(0.9, false)]
    [InlineData(0, true)]
    public void Adafactor(double momentum, bool relative)
    {
        var differences = ReferenceRun.Differences($"{{ kind: adafactor, momentum: {momentum}, relative-step: {(relative ? "true" : "false")}, update-clip: 0.8 }}", 6, (run, layout) =>
        {
            var beta2 = 1 - Math.Pow(run.Step, -0.8);
            foreach (var entry in layout.Entries)
            {
                var (rows, columns) = entry.Shape.Count == 2 ? ((int)entry.Shape[0], (int)entry.Shape[1]) : (1, (int)entry.Length);
                var g = PlainAlgebra.Fill(rows, columns, (i, j) => run.Gradients[entry.Offset + i * columns + j] * Scale);
                double[,] v;
                if (entry.Shape.Count == 2)
                {
                    var (r, c) = (run.Kept(entry.Name + ".r", rows, 1), run.Kept(entry.Name + ".c", 1, columns));
                    for (var i = 0; i < rows; i++) r[i, 0] = beta2 * r[i, 0] + (1 - beta2) * Enumerable.Range(0, columns).Average(j => g[i, j] * g[i, j] + 1e-30);
                    for (var j = 0; j < columns; j++) c[0, j] = beta2 * c[0, j] + (1 - beta2) * Enumerable.Range(0, rows).Average(i => g[i, j] * g[i, j] + 1e-30);
                    var mean = r.Cast<double>().Average();
                    v = PlainAlgebra.Fill(rows, columns, (i, j) => r[i, 0] * c[0, j] / mean);
                }
                else
                {
                    v = run.Kept(entry.Name + ".v", 1, columns).With(g, (old, gradient) => beta2 * old + (1 - beta2) * (gradient * gradient + 1e-30));
                    run.Keep(entry.Name + ".v", v);
                }
                var u = g.With(v, (gradient, second) => gradient / Math.Sqrt(second));
                var size = u.Norm() / Math.Sqrt(entry.Length);
                u = u.Map(value => value / Math.Max(1, size / 0.8));
                var values = run.Values.Skip((int)entry.Offset).Take((int)entry.Length).ToArray();
                var rate = relative ? Math.Min(Rate, 1 / Math.Sqrt(run.Step)) * Math.Max(1e-3, Math.Sqrt(values.Average(x => x * x))) : Rate;
                if (momentum > 0)
                {
                    u = run.Kept(entry.Name + ".b", rows, columns).With(u, (old, update) => momentum * old + (1 - momentum) * update);
                    run.Keep(entry.Name + ".b", u);
                }
                for (var i = 0; i < entry.Length; i++) run.Move(entry, i, rate, u[i / columns, i % columns], 0.1);
            }
        });
        Assert.True(differences.Max() < 2e-6, $"largest difference {differences.Max()}");
    }

    [Fact]
    public void AdamW_in_8_bits()
    {
        var (signed, unsigned) = (DynamicMap.Values(true), DynamicMap.Values(false));
        var differences = ReferenceRun.Differences("{ kind: adamw-8bit, smallest: 64 }", 6, (run, layout) =>
        {
            foreach (var entry in layout.Entries)
            {
                if (!entry.Decays || entry.Length < 64)
                {
                    run.Adam(entry, Rate, 0.9, 0.95, 1e-8, 0.1);
                    continue;
                }
                var n = (int)entry.Length;
                var (m, v) = (run.Kept(entry.Name + ".m", 1, n), run.Kept(entry.Name + ".v", 1, n));
                for (var i = 0; i < n; i++)
                {
                    var g = run.Gradients[entry.Offset + i] * Scale;
                    m[0, i] = 0.9 * m[0, i] + 0.1 * g;
                    v[0, i] = 0.95 * v[0, i] + 0.05 * g * g;
                    run.Move(entry, i, Rate, m[0, i] / (1 - Math.Pow(0.9, run.Step)) / (Math.Sqrt(v[0, i] / (1 - Math.Pow(0.95, run.Step))) + 1e-8), 0.1);
                }
                for (var block = 0; block < n; block += 256)
                {
                    Round(m, block, Math.Min(n, block + 256), signed);
                    Round(v, block, Math.Min(n, block + 256), unsigned);
                }
            }
        });
        // A number half-way between two codes may be rounded the other way in float32: rare, and worth one code.
        Assert.True(differences.Count(difference => difference > 2e-6) <= differences.Length / 500, $"{differences.Count(difference => difference > 2e-6)} of {differences.Length} differ");
        Assert.True(differences.Max() < 1e-3, $"largest difference {differences.Max()}");
    }

    private static void Round(double[,] values, int first, int end, float[] map)
    {
        var scale = Enumerable.Range(first, end - first).Max(i => Math.Abs(values[0, i]));
        for (var i = first; scale > 0 && i < end; i++) values[0, i] = scale * map.MinBy(code => Math.Abs(code - values[0, i] / scale));
    }

    [Theory]
    [InlineData("galore", 3)]
    [InlineData("fira", 3)]
    [InlineData("fira", 1)]
    public void GaLore_and_Fira(string kind, int rank)
    {
        var differences = ReferenceRun.Differences($"{{ kind: {kind}, rank: {rank}, update-gap: 3, scale: 0.5, decay: 0.1, other-rate: 0.25 }}", 7, (run, layout) =>
        {
            foreach (var entry in layout.Entries)
            {
                if (entry.Kind != EntryKind.Matrix)
                {
                    run.Adam(entry, Rate * 0.25, 0.9, 0.999, 1e-8, 0.1);
                    continue;
                }
                run.EachMatrix(entry, (name, g, first) =>
                {
                    // Always projected on the left: a tall matrix is turned first.
                    var isTall = g.GetLength(0) >= g.GetLength(1);
                    if (isTall) g = g.Turned();
                    var (m, n, r) = (g.GetLength(0), g.GetLength(1), Math.Min(rank, g.GetLength(0)));
                    if ((run.Step - 1) % 3 == 0) run.Keep(name + ".p", Signed(Sample.Columns(g.Times(g.Turned()).Eigenvectors(), 0, r)));
                    var p = run.Kept(name + ".p", m, r);
                    var projected = p.Turned().Times(g);
                    var first1 = run.Kept(name + ".m", r, n).With(projected, (old, value) => 0.9 * old + 0.1 * value);
                    var second = run.Kept(name + ".v", r, n).With(projected, (old, value) => 0.999 * old + 0.001 * value * value);
                    run.Keep(name + ".m", first1);
                    run.Keep(name + ".v", second);
                    var direction = first1.With(second, (a, b) => a / (1 - Math.Pow(0.9, run.Step)) / (Math.Sqrt(b / (1 - Math.Pow(0.999, run.Step))) + 1e-8));
                    var update = p.Times(direction).Map(value => 0.5 * value);
                    if (kind == "fira")
                    {
                        var residual = g.With(p.Times(projected), (a, b) => a - b);
                        double Size(double[,] matrix, int j) => Math.Sqrt(Enumerable.Range(0, r).Sum(i => matrix[i, j] * matrix[i, j]));
                        residual = PlainAlgebra.Fill(m, n, (i, j) => residual[i, j] * Size(direction, j) / (Size(projected, j) + 1e-8));
                        var (norm, last) = (residual.Norm(), run.Kept(name + ".norm", 1, 1)[0, 0]);
                        var shrink = last > 0 && norm > 1.01 * last ? 1.01 * last / norm : 1;
                        run.Keep(name + ".norm", new[,] { { norm * shrink } });
                        update = update.With(residual, (a, b) => a + shrink * b);
                    }
                    run.Move(entry, isTall ? update.Turned() : update, first, Rate, 0.1);
                });
            }
        });
        // Fira divides by norms of projected columns, which at rank 1 come near zero.
        Assert.True(differences.Max() < 1e-4, $"largest difference {differences.Max()}");
    }

    private static double[,] Signed(double[,] basis) => PlainAlgebra.Fill(basis.GetLength(0), basis.GetLength(1), (i, j) =>
        basis[i, j] * Math.Sign(basis[Enumerable.Range(0, basis.GetLength(0)).MaxBy(k => Math.Abs(basis[k, j])), j]));

    [Fact]
    public void Soap()
    {
        var differences = ReferenceRun.Differences("{ kind: soap, update-gap: 2, decay: 0.1 }", 5, (run, layout) =>
        {
            foreach (var entry in layout.Entries)
            {
                if (entry.Kind != EntryKind.Matrix)
                {
                    run.Adam(entry, Rate, 0.95, 0.95, 1e-8, 0.1);
                    continue;
                }
                run.EachMatrix(entry, (name, g, first) =>
                {
                    var (m, n) = (g.GetLength(0), g.GetLength(1));
                    void Gather()
                    {
                        run.Keep(name + ".l", run.Kept(name + ".l", m, m).With(g.Times(g.Turned()), (old, value) => 0.95 * old + 0.05 * value));
                        run.Keep(name + ".r", run.Kept(name + ".r", n, n).With(g.Turned().Times(g), (old, value) => 0.95 * old + 0.05 * value));
                    }
                    if (run.Step == 1)
                    {
                        Gather();
                        run.Keep(name + ".ql", run.Kept(name + ".l", m, m).Eigenvectors());
                        run.Keep(name + ".qr", run.Kept(name + ".r", n, n).Eigenvectors());
                        return;
                    }
                    var moment = run.Kept(name + ".m", m, n).With(g, (old, value) => 0.95 * old + 0.05 * value);
                    run.Keep(name + ".m", moment);
                    var (left, right) = (run.Kept(name + ".ql", m, m), run.Kept(name + ".qr", n, n));
                    var turned = left.Turned().Times(g).Times(right);
                    var v = run.Kept(name + ".v", m, n).With(turned, (old, value) => 0.95 * old + 0.05 * value * value);
                    run.Keep(name + ".v", v);
                    var direction = left.Turned().Times(moment).Times(right).With(v, (a, b) => a / (1 - Math.Pow(0.95, run.Step - 1)) / (Math.Sqrt(b / (1 - Math.Pow(0.95, run.Step - 1))) + 1e-8));
                    run.Move(entry, left.Times(direction).Times(right.Turned()), first, Rate, 0.1);
                    Gather();
                    if (run.Step % 2 != 0) return;
                    run.Keep(name + ".ql", run.Kept(name + ".l", m, m).Times(left).Orthonormal());
                    run.Keep(name + ".qr", run.Kept(name + ".r", n, n).Times(right).Orthonormal());
                });
            }
        }, (optimizer, parameters, run) => compared = parameters.Layout.Entries);
        // After one gradient the longer side of any other matrix has a null space, in which every basis is as good as another.
        var full = compared!.Where(entry => entry.Name is "square" or "norm" or "bias" or "table").SelectMany(entry => Enumerable.Range((int)entry.Offset, (int)entry.Length));
        Assert.True(full.Max(i => differences[i]) < 2e-4, $"largest difference {full.Max(i => differences[i])}");
    }

    private IReadOnlyList<FlatEntry>? compared;

    [Fact]
    public void Schedule_free_AdamW_with_its_average_written_out()
    {
        double weights = 0, largest = 0;
        double[]? x = null, z = null, v = null;
        var differences = ReferenceRun.Differences("schedule-free-adamw", 9, (run, layout) =>
        {
            x ??= [.. run.Values];
            z ??= [.. run.Values];
            v ??= new double[x.Length];
            largest = Math.Max(largest, Rate);
            weights += largest * largest;
            var c = largest * largest / weights;
            foreach (var entry in layout.Entries)
                for (var i = (int)entry.Offset; i < entry.Offset + entry.Length; i++)
                {
                    var y = 0.1 * z[i] + 0.9 * x[i];
                    var g = run.Gradients[i] * Scale;
                    v[i] = 0.95 * v[i] + 0.05 * g * g;
                    z[i] -= Rate * (g / (Math.Sqrt(v[i] / (1 - Math.Pow(0.95, run.Step))) + 1e-8) + (entry.Decays ? 0.1 * y : 0));
                    x[i] = (1 - c) * x[i] + c * z[i];
                    run.Values[i] = 0.1 * z[i] + 0.9 * x[i];
                }
        }, (optimizer, parameters, run) =>
        {
            using var average = zeros(parameters.Layout.Length);
            optimizer.Derived!.Fill(parameters.Values, optimizer.Slots, average);
            Assert.All(Sample.Floats(average).Zip(x!), pair => Assert.Equal(pair.Second, pair.First, 5e-6));
        });
        Assert.True(differences.Max() < 2e-6, $"largest difference {differences.Max()}");
    }

    private static double Rounded(double value)
    {
        var bits = BitConverter.SingleToUInt32Bits((float)value);
        return BitConverter.UInt32BitsToSingle((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000);
    }
}
