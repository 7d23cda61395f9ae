using System.Globalization;
using System.Text;
using Perennial.Core;

namespace Perennial.Data.Synthesis;

/// <summary>Writes worked traces by rules, without a model: a small program over whole numbers, executed step by step with every variable's value. The prompt's hash and the seed choose it.</summary>
public sealed class ArithmeticTracer : IGenerator
{
    /// <inheritdoc/>
    public string Id => "arithmetic-tracer 1";

    /// <inheritdoc/>
    public Task<Generated> Generate(GenerationRequest request, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(request);
        var item = System.IO.Hashing.XxHash3.HashToUInt64(Encoding.UTF8.GetBytes(request.Prompt)) & 0xFFFF_FFFF_FFFF;
        var draws = 0UL;
        int Draw(int below) => (int)(Philox.Uniform(request.Seed, RandomPurpose.Generation, item, draws++) * below);
        string[] names = ["a", "b", "c", "d", "n"];
        var values = new SortedDictionary<string, long>(StringComparer.Ordinal);
        var (program, trace) = (new StringBuilder(), new StringBuilder());
        var lines = 4 + Draw(6);
        for (var line = 1; line <= lines; line++)
        {
            var target = names[Draw(names.Length)];
            string Operand() => values.Count > 0 && Draw(3) > 0 ? values.Keys.ElementAt(Draw(values.Count)) : (1 + Draw(20)).ToString(CultureInfo.InvariantCulture);
            long Value(string operand) => values.TryGetValue(operand, out var known) ? known : long.Parse(operand, CultureInfo.InvariantCulture);
            var (left, right, sign) = (Operand(), Operand(), "+-*"[Draw(3)]);
            var (x, y) = (Value(left), Value(right));
            // Products stay small enough to be followed.
            if (sign == '*' && Math.Abs(x * y) > 10_000) sign = '-';
            var result = sign switch { '+' => x + y, '-' => x - y, _ => x * y };
            program.Append(CultureInfo.InvariantCulture, $"{line}: {target} = {left} {sign} {right}\n");
            trace.Append(CultureInfo.InvariantCulture, $"line {line}: {left} is {x}, {right} is {y}, {x} {sign} {y} = {result}, so {target} = {result}\n");
            values[target] = result;
        }
        var end = string.Join(", ", values.Select(pair => $"{pair.Key} = {pair.Value}"));
        return Task.FromResult(new Generated($"Program:\n{program}Trace:\n{trace}At the end: {end}.", 0));
    }
}
