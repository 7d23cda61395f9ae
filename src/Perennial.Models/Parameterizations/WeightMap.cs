using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models;

/// <summary>
/// From the parameters of a decoder whose matrices are made of parts (<see cref="WeightForm"/>) to its plain weights. Holds the index of
/// both, the frozen parts and the places of sparse ones. Parameters are named after the matrix they belong to, as PEFT names them:
/// <c>model.layers.0.self_attn.q_proj.lora_A.weight</c>, <c>….lora_B.weight</c>, and <c>….sparse.values</c>.
/// </summary>
public sealed class WeightMap : IDisposable
{
    /// <summary>Name of the slot that holds the frozen parts.</summary>
    public const string FrozenSlot = "frozen-weights";

    /// <summary>P_in, <c>[width, width]</c>, where there is one.</summary>
    public const string EmbeddingProjection = "model.embed_tokens.projection.weight";

    /// <summary>P_out, <c>[width, width]</c>, where there is one.</summary>
    public const string HeadProjection = "lm_head.projection.weight";

    private readonly Dictionary<string, WeightMatrix> matrices = new(StringComparer.Ordinal);

    /// <summary>Lays the parameters out and draws the places of sparse parts; frozen parts are zero.</summary>
    /// <param name="config">The decoder.</param>
    /// <param name="form">The form of its matrices; not plain.</param>
    /// <param name="seed">The run's seed, key of the places unless the form names another.</param>
    /// <exception cref="Core.PerennialException">Exit 2: a sparse part without values, or a form that this family cannot have.</exception>
    public WeightMap(DecoderConfig config, WeightForm form, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(form);
        (Config, Form) = (config, form);
        if (form.ScalarNorms && config.Family == ModelFamily.Gpt2) throw Core.PerennialException.Usage("parameterization: single-scale norms are RMSNorms, which gpt2 does not have; take model: llama or qwen2");
        if (form.EmbeddingProjection && config.TiedHead) throw Core.PerennialException.Usage("parameterization: an embedding projection makes embedding and head two tensors; set model.tied-head to false");
        PlainLayout = DecoderLayout.Of(config);
        var groups = Groups(config, form).ToDictionary(group => group[0], StringComparer.Ordinal);
        var made = groups.Values.SelectMany(group => group).ToHashSet(StringComparer.Ordinal);
        List<(string Name, long[] Shape, bool Decays)> products = [], sparse = [], vectors = [], frozen = [];
        foreach (var entry in PlainLayout.Entries)
        {
            if (IsScalar(entry)) vectors.Add((entry.Name, [1], entry.Decays));
            else if (!made.Contains(entry.Name)) (entry.Shape.Count > 1 ? products : vectors).Add((entry.Name, [.. entry.Shape], entry.Decays));
            else if (groups.TryGetValue(entry.Name, out var group))
            {
                // The A's of one input are neighbours: x·Aᵀ is one product for all of them.
                if (form.LowRank is not null)
                {
                    products.AddRange(group.Select(name => (Part(name, "lora_A.weight"), (long[])[Rank(name), Inputs(name)], true)));
                    products.AddRange(group.Select(name => (Part(name, "lora_B.weight"), (long[])[Outputs(name), Rank(name)], true)));
                }
                if (form.Sparse is { } part) sparse.AddRange(group.Select(name => (Part(name, "sparse.values"), (long[])[Support(name, part).Count], true)));
                if (form.Frozen) frozen.AddRange(group.Select(name => (name, (long[])[.. PlainLayout[name].Shape], true)));
            }
        }
        if (form.EmbeddingProjection) products.AddRange([(EmbeddingProjection, [config.Width, config.Width], true), (HeadProjection, [config.Width, config.Width], true)]);
        // What is a parameter itself stays what it is: a table, a matrix, several side by side.
        Layout = FlatLayout.Of(products.Concat(sparse).Concat(vectors).Select(tensor =>
            PlainLayout.Contains(tensor.Name) && PlainLayout[tensor.Name].Shape.SequenceEqual(tensor.Shape) ? PlainLayout[tensor.Name] : new FlatEntry(tensor.Name, 0, tensor.Shape, tensor.Decays)));
        FrozenLayout = FlatLayout.Of(frozen);
        Frozen = form.Frozen ? HugePages.Zeros(FrozenLayout.Length) : null;
        for (var index = 0; index < PlainLayout.Entries.Count; index++)
        {
            var entry = PlainLayout.Entries[index];
            if (made.Contains(entry.Name)) matrices.Add(entry.Name, Matrix(entry, index));
        }

        bool InputFirst() => config.Family == ModelFamily.Gpt2;
        long Inputs(string name) => PlainLayout[name].Shape[InputFirst() ? 0 : 1];
        long Outputs(string name) => PlainLayout[name].Shape[InputFirst() ? 1 : 0];
        long Rank(string name) => Math.Min(form.LowRank!.Rank, Math.Min(Inputs(name), Outputs(name)));
        SparseSupport Support(string name, SparsePart part)
        {
            var index = PlainLayout.Entries.TakeWhile(entry => entry.Name != name).Count();
            return supports[name] = SparseSupport.Draw(PlainLayout[name].Shape[0], PlainLayout[name].Shape[1], part.Density, part.Seed ?? seed, WeightStart.Item(index, WeightStart.SupportDraw));
        }
        WeightMatrix Matrix(FlatEntry entry, int index) => new()
        {
            Plain = entry,
            Index = index,
            InputFirst = InputFirst(),
            Frozen = form.Frozen ? FrozenLayout[entry.Name] : null,
            A = form.LowRank is null ? null : Layout[Part(entry.Name, "lora_A.weight")],
            B = form.LowRank is null ? null : Layout[Part(entry.Name, "lora_B.weight")],
            Scale = form.LowRank?.Scale ?? 0,
            Values = form.Sparse is null ? null : Layout[Part(entry.Name, "sparse.values")],
            Support = supports.GetValueOrDefault(entry.Name),
        };
    }

    private readonly Dictionary<string, SparseSupport> supports = new(StringComparer.Ordinal);

    /// <summary>The decoder.</summary>
    public DecoderConfig Config { get; }

    /// <summary>The form of its matrices.</summary>
    public WeightForm Form { get; }

    /// <summary>Index of the plain weights, under their Hugging Face names.</summary>
    public FlatLayout PlainLayout { get; }

    /// <summary>Index of the parameters: what products read (matrices and factors), sparse values, then norms and biases.</summary>
    public FlatLayout Layout { get; }

    /// <summary>Index of the frozen parts, under the names of their matrices.</summary>
    public FlatLayout FrozenLayout { get; }

    /// <summary>The frozen parts, float32; null where the form has none.</summary>
    public Tensor? Frozen { get; }

    /// <summary>The matrices that are not parameters themselves, in the order of the plain layout.</summary>
    public IReadOnlyCollection<WeightMatrix> Matrices => matrices.Values;

    /// <summary>State beside the parameters: the frozen parts.</summary>
    public IReadOnlyList<StateSlot> Slots => Frozen is null ? [] : [new(FrozenSlot, Frozen) { Index = SlotIndex.Whole(FrozenLayout.Entries.Select(entry => (entry.Name, 0L, 0L, entry.Length))) }];

    /// <summary>Bytes that the places of sparse parts take; a pure function of recipe and seed, so no part of the state.</summary>
    public long SupportBytes => matrices.Values.Sum(matrix => matrix.Support?.Bytes ?? 0);

    /// <summary>The matrix of a plain name; null where that name is a parameter itself.</summary>
    public WeightMatrix? Find(string plain) => matrices.GetValueOrDefault(plain);

    /// <summary>One plain weight, float32 in its own shape: a view where it is a parameter itself, computed where it is made of parts. Dispose it.</summary>
    /// <param name="plain">An entry of <see cref="PlainLayout"/>.</param>
    /// <param name="values">Parameters, laid out as <see cref="Layout"/>.</param>
    /// <param name="frozen">The frozen parts, laid out as <see cref="FrozenLayout"/>; null where the form has none.</param>
    public unsafe Tensor Merge(FlatEntry plain, Tensor values, Tensor? frozen)
    {
        ArgumentNullException.ThrowIfNull(plain);
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        if (Find(plain.Name) is not { } matrix) return Itself(plain, values).MoveToOuterDisposeScope();
        var merged = matrix.Frozen is { } part ? FlatParameters.View(frozen!, part).clone() : zeros(matrix.Rows, matrix.Columns);
        if (matrix.A is not null) merged.addmm_(matrix.Left(values), matrix.Right(values), 1, (float)matrix.Scale);
        if (matrix.Support is { } support)
        {
            var address = (float*)TensorMemory.Address<float>(values) + matrix.Values!.Offset;
            support.Add((float*)TensorMemory.Address<float>(merged), 0, matrix.Rows, address);
        }
        return merged.MoveToOuterDisposeScope();
    }

    /// <summary>
    /// x·W by composed operators, differentiable in the trainable parts: what the hand-written layers are tested against, and what computes
    /// where speed does not matter.
    /// </summary>
    /// <param name="x">Inputs, <c>[…, in]</c>.</param>
    /// <param name="matrix">The matrix.</param>
    /// <param name="trainable">Gives a parameter by its name, in the type of <paramref name="x"/>.</param>
    public Tensor Apply(Tensor x, WeightMatrix matrix, Func<string, Tensor> trainable)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(matrix);
        ArgumentNullException.ThrowIfNull(trainable);
        Tensor? y = null;
        if (matrix.Frozen is { } part) y = matmul(x, Turned(FlatParameters.View(Frozen!, part).to_type(x.dtype)));
        if (matrix.A is not null)
        {
            var low = matmul(matmul(x, trainable(matrix.A.Name).t()), trainable(matrix.B!.Name).t()) * matrix.Scale;
            y = y is null ? low : y + low;
        }
        if (matrix.Support is { } support)
        {
            var places = tensor(Array.ConvertAll(support.Positions, position => (long)position));
            var dense = zeros(matrix.Rows * matrix.Columns, dtype: x.dtype).index_add(0, places, trainable(matrix.Values!.Name), 1).view(matrix.Rows, matrix.Columns);
            var sparse = matmul(x, Turned(dense));
            y = y is null ? sparse : y + sparse;
        }
        return y!;

        Tensor Turned(Tensor stored) => matrix.InputFirst ? stored : stored.t();
    }

    /// <inheritdoc/>
    public void Dispose() => Frozen?.Dispose();

    /// <summary>Whether a plain norm weight is one number here.</summary>
    private bool IsScalar(FlatEntry plain) => Form.ScalarNorms && !plain.Decays && plain.Name.EndsWith("norm.weight", StringComparison.Ordinal);

    /// <summary>A plain weight that is a parameter, one number of it repeated, or a table with its projection merged in.</summary>
    private Tensor Itself(FlatEntry plain, Tensor values)
    {
        var own = FlatParameters.View(values, Layout[plain.Name]);
        if (IsScalar(plain)) return own.expand(plain.Shape[0]).clone();
        if (!Form.EmbeddingProjection) return own;
        var names = new DecoderNames(Config);
        if (plain.Name == names.Embedding) return own.matmul(FlatParameters.View(values, Layout[EmbeddingProjection]).t());
        return plain.Name == names.Head ? own.matmul(FlatParameters.View(values, Layout[HeadProjection])) : own;
    }

    /// <summary>The name of a matrix's part: <c>….q_proj.weight</c> and <c>lora_A.weight</c> give <c>….q_proj.lora_A.weight</c>.</summary>
    private static string Part(string name, string part) => name[..^"weight".Length] + part;

    /// <summary>The targeted matrices, those that read one input together.</summary>
    private static IEnumerable<string[]> Groups(DecoderConfig config, WeightForm form)
    {
        var names = new DecoderNames(config);
        var gpt2 = config.Family == ModelFamily.Gpt2;
        for (var layer = 0; layer < config.Layers; layer++)
        {
            if (form.Targets.Contains(WeightTarget.Attention))
            {
                yield return gpt2 ? Names(Projection.QueryKeyValue) : Names(Projection.Query, Projection.Key, Projection.Value);
                yield return Names(Projection.AttentionOut);
            }
            if (!form.Targets.Contains(WeightTarget.Mlp)) continue;
            yield return gpt2 ? Names(Projection.Up) : Names(Projection.Gate, Projection.Up);
            yield return Names(Projection.Down);

            string[] Names(params Projection[] projections) => [.. projections.Select(projection => names.Weight(layer, projection))];
        }
    }
}
