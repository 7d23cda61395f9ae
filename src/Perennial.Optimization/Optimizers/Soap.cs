using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Optimization;

/// <summary>Options of <see cref="Soap"/>.</summary>
public sealed record SoapOptions : IOptimizerOptions, IPeriodicOptions, IValidatedOptions
{
    /// <summary>Peak learning rate.</summary>
    [Range(0.0, 100)]
    public double Rate { get; init; } = 3e-3;

    /// <summary>Decoupled weight decay of matrices and tables; norms and biases are spared.</summary>
    [Range(0.0, 100)]
    public double Decay { get; init; } = 0.01;

    /// <summary>Decay rates of the first moment, and of the second moment and the two covariances.</summary>
    public IReadOnlyList<double> Betas { get; init; } = [0.95, 0.95];

    /// <summary>Added to the root of the second moment.</summary>
    [Range(0.0, 1)]
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Steps from one turn of the eigenbases to the next.</summary>
    [Range(1, 1_000_000)]
    public int UpdateGap { get; init; } = 10;

    /// <summary>Largest global gradient norm; 0 means no clipping.</summary>
    [Range(0.0, double.MaxValue)]
    public double Clip { get; init; } = 1.0;

    /// <inheritdoc/>
    public OptimizerCost Cost(FlatLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        var (parts, rest) = ProjectedOptions.Split(layout);
        var sides = parts.Sum(part => part.Rows * part.Rows + part.Columns * part.Columns);
        var elements = parts.Sum(part => part.Rows * part.Columns);
        return new(
            (2 * elements + 2 * sides) * sizeof(float) + AdamMoments.Bytes(rest), (7 * elements + 3 * sides) * sizeof(float) + AdamMoments.MovedBytes(rest),
            // Two covariances, gradient and moment turned on both sides, the update turned back.
            parts.Sum(part => 8.0 * part.Rows * part.Columns * (part.Rows + part.Columns)));
    }

    /// <inheritdoc/>
    public bool IsRefresh(long step) => step == 1 || step % UpdateGap == 0;

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems() => BetaRule.Problems(Betas);
}

/// <summary>
/// Adam in the eigenbasis of Shampoo's covariances (Vyas et al. 2024, "SOAP", algorithms 3 and 4): L ← β₂L + (1 − β₂)GGᵀ, likewise R; G and
/// the first moment are turned into their eigenbases, Adam's second moment lives there, the update is turned back. Every <c>update-gap</c>
/// steps the bases follow by one power iteration and a QR decomposition; the first step takes exact eigenvectors and, as in the published code, does not move matrices.
/// Memory: 8 bytes a parameter and 8·(m² + n²) bytes for every m × n matrix.
/// </summary>
[Component("soap")]
public sealed class Soap : IEntryOptimizer
{
    private readonly SoapOptions options;
    private readonly FlatParameters parameters;
    private readonly AdamMoments rest;
    private readonly Dictionary<string, (long Element, long Side)> places = new(StringComparer.Ordinal);
    private readonly Tensor first, second, covariances, bases;
    private readonly ScratchPool scratches = new();

    /// <summary>Everything starts at zero.</summary>
    public Soap(SoapOptions options, FlatParameters parameters)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(parameters);
        (this.options, this.parameters) = (options, parameters);
        var (parts, others) = ProjectedOptions.Split(parameters.Layout);
        long elements = 0, sides = 0;
        foreach (var part in parts)
        {
            places.Add(part.Name, (elements, sides));
            elements += part.Rows * part.Columns;
            sides += Sides(part);
        }
        (first, second) = (HugePages.Zeros(elements), HugePages.Zeros(elements));
        (covariances, bases) = (HugePages.Zeros(sides), HugePages.Zeros(sides));
        rest = new AdamMoments("soap.rest", parameters, others);
        var (dense, square) = (Index(part => part.Rows * part.Columns), Index(Sides));
        Slots =
        [
            .. parts.Count == 0 ? [] : new StateSlot[]
            {
                new("soap.first-moment", first) { Index = dense }, new("soap.second-moment", second) { Index = dense },
                new("soap.covariances", covariances) { Index = square }, new("soap.bases", bases) { Index = square },
            },
            .. rest.Slots,
        ];

        SlotIndex Index(Func<MatrixPart, long> length) => SlotIndex.Whole(parts.Select(part => (part.Name, part.Entry.Offset, part.Entry.Length, length(part))));
    }

    /// <inheritdoc/>
    public IReadOnlyList<StateSlot> Slots { get; }

    /// <inheritdoc/>
    public bool NeedsWhole(FlatEntry entry)
    {
        ArgumentNullException.ThrowIfNull(entry);
        return entry.Kind == EntryKind.Matrix;
    }

    /// <inheritdoc/>
    public void Step(long step, double rate, double gradientScale) => StepEntries(parameters.Layout.Entries, step, rate, gradientScale);

    /// <inheritdoc/>
    public void StepEntries(IReadOnlyList<FlatEntry> entries, long step, double rate, double gradientScale)
    {
        var adam = new AdamStep(step, rate, gradientScale, options.Betas[0], options.Betas[1], options.Epsilon, options.Decay);
        rest.Step(entries, adam);
        MatrixPart.ForEach(MatrixPart.Of(entries), part => Update(part, adam));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        rest.Dispose();
        scratches.Dispose();
        foreach (var tensor in new[] { first, second, covariances, bases }) tensor.Dispose();
    }

    private static long Sides(MatrixPart part) => part.Rows * part.Rows + part.Columns * part.Columns;

    private void Update(MatrixPart part, AdamStep adam)
    {
        Tensor[] scratch = [.. Enumerable.Range(0, 4).Select(_ => scratches.Rent(part.Rows, part.Columns))];
        Update(part, adam, scratch);
        foreach (var tensor in scratch) scratches.Return(tensor);
    }

    private void Update(MatrixPart part, AdamStep adam, Tensor[] scratch)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var (m, n, place) = (part.Rows, part.Columns, places[part.Name]);
        var moment = first.narrow(0, place.Element, m * n).view(m, n);
        var (left, right) = (Square(covariances, place.Side, m), Square(covariances, place.Side + m * m, n));
        var (leftBasis, rightBasis) = (Square(bases, place.Side, m), Square(bases, place.Side + m * m, n));
        var (gradient, between) = (scratch[0], scratch[1]);
        gradient.copy_(part.View(parameters.Gradients, parameters.GradientOffset(part.Entry))).mul_(adam.GradientScale);
        if (adam.Step == 1)
        {
            // In its own eigenbasis a gradient is diagonal and the rest is noise, which Adam would blow up: the first step only looks.
            Gather(left, right, gradient);
            // Largest first: a QR iteration keeps that order.
            leftBasis.copy_(linalg.eigh(left.to_type(ScalarType.Float64)).Item2.flip(1));
            rightBasis.copy_(linalg.eigh(right.to_type(ScalarType.Float64)).Item2.flip(1));
            return;
        }
        moment.mul_(adam.Beta1).add_(gradient, alpha: 1 - adam.Beta1);
        var turned = Turn(leftBasis.t(), gradient, rightBasis, between, scratch[2]);
        var turnedMoment = Turn(leftBasis.t(), moment, rightBasis, between, scratch[3]);
        Normalize(turned, turnedMoment, place.Element, adam with { Step = adam.Step - 1 });
        var update = Turn(leftBasis, turnedMoment, rightBasis.t(), between, scratch[2]);
        var values = part.View(parameters.Values, part.Entry.Offset);
        if (part.Entry.Decays && adam.Decay > 0) values.mul_(1 - adam.Rate * adam.Decay);
        values.add_(update, alpha: -adam.Rate);
        Gather(left, right, gradient);
        if (!options.IsRefresh(adam.Step)) return;
        leftBasis.copy_(linalg.qr(left.matmul(leftBasis)).Item1);
        rightBasis.copy_(linalg.qr(right.matmul(rightBasis)).Item1);
    }

    private void Gather(Tensor left, Tensor right, Tensor gradient)
    {
        var (beta, turned) = ((float)options.Betas[1], gradient.t());
        left.addmm_(gradient, turned, beta, 1 - beta);
        right.addmm_(turned, gradient, beta, 1 - beta);
    }

    private static Tensor Turn(Tensor left, Tensor matrix, Tensor right, Tensor between, Tensor target)
    {
        between.addmm_(left, matrix, 0, 1);
        return target.addmm_(between, right, 0, 1);
    }

    /// <summary>Adam's second moment of the turned gradient; the turned moment becomes the direction.</summary>
    private unsafe void Normalize(Tensor gradient, Tensor moment, long place, AdamStep adam)
    {
        var (g, m, v) = (TensorMemory.Address<float>(gradient), TensorMemory.Address<float>(moment), TensorMemory.Address<float>(second));
        var kernel = new AdamKernel(adam);
        ThreadTeam.ForRows(gradient.NumberOfElements, 1 << 15, (from, to) => kernel.Divide((float*)g + from, (float*)m + from, (float*)v + place + from, to - from));
    }

    private static Tensor Square(Tensor buffer, long offset, long side) => buffer.narrow(0, offset, side * side).view(side, side);
}
