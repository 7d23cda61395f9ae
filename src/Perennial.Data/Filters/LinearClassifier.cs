using System.Runtime.InteropServices;
using System.Text;
using Perennial.Core;
using Perennial.Data.Text;

namespace Perennial.Data.Filters;

/// <summary>
/// A linear classifier of hashed word n-grams, trained by stochastic gradient descent on the logistic loss (as fastText's supervised mode,
/// Joulin et al., arXiv 1607.01759, without the hidden layer, which a linear model of two classes does not need).
/// </summary>
public sealed class LinearClassifier
{
    private static ReadOnlySpan<byte> Magic => "PRNLINR1"u8;

    private readonly float[] weights;
    private readonly int ngram;
    private float bias;

    private LinearClassifier(int bits, int ngram) => (weights, this.ngram) = (new float[1 << bits], ngram);

    /// <summary>Trains a classifier. The result depends on the texts and the settings alone.</summary>
    /// <param name="positive">Texts of the class that scores high.</param>
    /// <param name="negative">Texts of the other.</param>
    /// <param name="bits">Logarithm of the number of buckets.</param>
    /// <param name="ngram">Longest n-gram of words.</param>
    /// <param name="passes">Passes over the texts.</param>
    /// <param name="rate">Learning rate at the beginning; it falls to nothing in a straight line.</param>
    public static LinearClassifier Train(IReadOnlyList<ReadOnlyMemory<byte>> positive, IReadOnlyList<ReadOnlyMemory<byte>> negative, int bits = 18, int ngram = 2, int passes = 5, double rate = 0.5)
    {
        ArgumentNullException.ThrowIfNull(positive);
        ArgumentNullException.ThrowIfNull(negative);
        if (positive.Count == 0 || negative.Count == 0) throw PerennialException.Usage("a classifier needs texts of both classes");
        var model = new LinearClassifier(bits, ngram);
        var total = positive.Count + negative.Count;
        var features = new List<int>();
        var (step, steps) = (0L, (long)passes * total);
        for (var pass = 0; pass < passes; pass++)
        {
            foreach (var number in Shuffled(total, (ulong)pass))
            {
                var isPositive = number < positive.Count;
                model.Features((isPositive ? positive[number] : negative[number - positive.Count]).Span, features);
                var speed = (float)(rate * (1 - (double)step++ / steps));
                if (features.Count == 0) continue;
                var error = (isPositive ? 1 : 0) - Logistic(model.Sum(features));
                var change = speed * error / MathF.Sqrt(features.Count);
                foreach (var feature in features) model.weights[feature] += change;
                model.bias += 0.1f * change;
            }
        }
        return model;
    }

    /// <summary>Probability of the first class, 0 to 1; one half for a text without words.</summary>
    public double Score(ReadOnlySpan<byte> text)
    {
        var features = new List<int>();
        Features(text, features);
        return features.Count == 0 ? 0.5 : Logistic(Sum(features));
    }

    /// <summary>Writes the model: magic, bits, n-gram, bias, then the weights that are not 0 by number.</summary>
    public void Save(string path) => AtomicFile.Write(path, stream =>
    {
        using var writer = new BinaryWriter(stream, Encoding.UTF8, leaveOpen: true);
        writer.Write(Magic);
        writer.Write(System.Numerics.BitOperations.Log2((uint)weights.Length));
        writer.Write(ngram);
        writer.Write(bias);
        writer.Write(weights.Count(weight => weight != 0));
        for (var i = 0; i < weights.Length; i++)
        {
            if (weights[i] == 0) continue;
            writer.Write(i);
            writer.Write(weights[i]);
        }
    });

    /// <summary>Reads a model.</summary>
    /// <exception cref="PerennialException">Exit 3: not a model, or damaged.</exception>
    public static LinearClassifier Load(string path)
    {
        try
        {
            using var reader = new BinaryReader(File.OpenRead(path));
            if (!reader.ReadBytes(Magic.Length).AsSpan().SequenceEqual(Magic)) throw new InvalidDataException("is not a classifier");
            var (bits, ngram) = (reader.ReadInt32(), reader.ReadInt32());
            if (bits is < 8 or > 28 || ngram is < 1 or > 5) throw new InvalidDataException("has impossible sizes");
            var model = new LinearClassifier(bits, ngram) { bias = reader.ReadSingle() };
            for (var count = reader.ReadInt32(); count > 0; count--) model.weights[reader.ReadInt32() & (model.weights.Length - 1)] = reader.ReadSingle();
            return model;
        }
        catch (Exception error) when (error is InvalidDataException or EndOfStreamException)
        {
            throw PerennialException.Damaged($"{path}: {error.Message}; train it again (perennial data classifier)", error);
        }
    }

    private float Sum(List<int> features)
    {
        var sum = 0f;
        foreach (var feature in CollectionsMarshal.AsSpan(features)) sum += weights[feature];
        // The mean over features, spread: long and short texts give scores of one scale.
        return bias + sum / MathF.Sqrt(features.Count);
    }

    private void Features(ReadOnlySpan<byte> text, List<int> into)
    {
        into.Clear();
        Span<ulong> last = stackalloc ulong[5];
        last.Clear();
        var words = new NormalWords(text);
        for (var count = 1; words.Next(out var hash); count++)
        {
            for (var n = Math.Min(ngram, count); n >= 1; n--)
            {
                last[n - 1] = n == 1 ? hash : WordHash.Mix(last[n - 2] * 3 + hash);
                into.Add((int)(last[n - 1] >> 32) & (weights.Length - 1));
            }
        }
    }

    private static float Logistic(float value) => 1 / (1 + MathF.Exp(-value));

    private static IEnumerable<int> Shuffled(int count, ulong pass)
    {
        var order = Enumerable.Range(0, count).ToArray();
        for (var i = count - 1; i > 0; i--)
        {
            var j = (int)(Philox.Uniform(pass, RandomPurpose.Corruption, 0x11EA, (ulong)i) * (i + 1));
            (order[i], order[j]) = (order[j], order[i]);
        }
        return order;
    }
}
