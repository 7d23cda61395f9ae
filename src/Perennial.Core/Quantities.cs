using System.Globalization;

namespace Perennial.Core;

/// <summary>The unit of a <see cref="RunLength"/>.</summary>
public enum RunUnit
{
    /// <summary>Optimizer steps.</summary>
    Steps,

    /// <summary>Training tokens.</summary>
    Tokens,

    /// <summary>A fraction of the run, 0 to 1.</summary>
    Fraction,
}

/// <summary>A stretch of a run as recipes write it: <c>100 steps</c>, <c>2M tokens</c>, <c>5%</c>; a bare number counts steps.</summary>
/// <param name="Amount">The number, in <paramref name="Unit"/> (a fraction is 0 to 1).</param>
/// <param name="Unit">What is counted.</param>
public readonly record struct RunLength(double Amount, RunUnit Unit)
{
    /// <summary>Nothing at all.</summary>
    public static RunLength None => new(0, RunUnit.Steps);

    /// <summary>The same stretch in whole steps (rounded to nearest; at least 1 when the amount is above 0).</summary>
    /// <param name="totalSteps">Steps of the whole run.</param>
    /// <param name="tokensPerStep">Tokens of one step.</param>
    public long ToSteps(long totalSteps, long tokensPerStep)
    {
        if (Amount <= 0) return 0;
        var steps = Unit switch
        {
            RunUnit.Steps => Amount,
            RunUnit.Tokens => Amount / tokensPerStep,
            _ => Amount * totalSteps,
        };
        return Math.Max(1, (long)Math.Round(steps, MidpointRounding.AwayFromZero));
    }

    /// <summary>Reads <c>100</c>, <c>100 steps</c>, <c>every-step</c>, <c>2M tokens</c> or <c>5%</c>.</summary>
    public static bool TryParse(string text, out RunLength length)
    {
        ArgumentNullException.ThrowIfNull(text);
        length = default;
        text = text.Trim();
        if (text is "every-step") { length = new(1, RunUnit.Steps); return true; }
        if (text.EndsWith('%'))
        {
            if (!double.TryParse(text[..^1], NumberStyles.Float, CultureInfo.InvariantCulture, out var percent) || percent is not (>= 0 and <= 100)) return false;
            length = new(percent / 100, RunUnit.Fraction);
            return true;
        }
        var unit = RunUnit.Steps;
        var words = text.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (words.Length == 2)
        {
            if (words[1] is "tokens" or "token") unit = RunUnit.Tokens;
            else if (words[1] is not ("steps" or "step")) return false;
        }
        else if (words.Length != 1)
            return false;
        if (!Count.TryParse(words[0], out var count)) return false;
        length = new(count.Value, unit);
        return true;
    }

    /// <summary>The text a recipe would use.</summary>
    public override string ToString() => Unit switch
    {
        RunUnit.Fraction => string.Create(CultureInfo.InvariantCulture, $"{Amount * 100:0.##########}%"),
        RunUnit.Tokens => string.Create(CultureInfo.InvariantCulture, $"{Amount:0} tokens"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{Amount:0} steps"),
    };
}

/// <summary>A whole number as recipes write it: <c>4096</c>, <c>2M</c>, <c>1.5B</c>, <c>64k</c> (powers of 1,000).</summary>
/// <param name="Value">The number.</param>
public readonly record struct Count(long Value)
{
    /// <summary>Reads the number; fractions must come out whole.</summary>
    public static bool TryParse(string text, out Count count)
    {
        ArgumentNullException.ThrowIfNull(text);
        count = default;
        text = text.Trim().Replace("_", "", StringComparison.Ordinal);
        if (text.Length == 0) return false;
        var scale = text[^1] switch { 'k' or 'K' => 1_000m, 'M' => 1_000_000m, 'B' or 'G' => 1_000_000_000m, 'T' => 1_000_000_000_000m, _ => 1m };
        if (scale != 1m) text = text[..^1];
        if (!decimal.TryParse(text, NumberStyles.AllowDecimalPoint | NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number)) return false;
        if (Math.Abs(number) > 9_000_000_000_000_000m / scale || decimal.Truncate(number * scale) != number * scale) return false;
        count = new((long)(number * scale));
        return true;
    }

    /// <summary>The number itself.</summary>
    public static implicit operator long(Count count) => count.Value;

    /// <summary>Wraps a number.</summary>
    public static implicit operator Count(long value) => new(value);

    /// <summary>The number with the value unscaled.</summary>
    public long ToInt64() => Value;

    /// <inheritdoc/>
    public override string ToString() => Value.ToString(CultureInfo.InvariantCulture);
}
