namespace Perennial.Core;

/// <summary>How often something is saved, as recipes write it: a <see cref="RunLength"/>, or <c>auto</c>: from what a saving is measured to cost.</summary>
/// <param name="Length">The stretch between savings, nothing for never; null where it is to be worked out.</param>
public readonly record struct SavingInterval(RunLength? Length)
{
    private const string AutoWord = "auto";

    /// <summary>Whether it is to be worked out.</summary>
    public bool IsAuto => Length is null;

    /// <summary>Whether anything is saved at all.</summary>
    public bool IsOn => Length is not { Amount: <= 0 };

    /// <summary>Every so many steps.</summary>
    public static SavingInterval Steps(long steps) => new(new RunLength(steps, RunUnit.Steps));

    /// <summary>Reads <c>auto</c> or a <see cref="RunLength"/>.</summary>
    public static bool TryParse(string text, out SavingInterval interval)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text.Trim() == AutoWord)
        {
            interval = new(null);
            return true;
        }
        var isLength = RunLength.TryParse(text, out var length);
        interval = new(length);
        return isLength && length.Amount >= 0;
    }

    /// <summary>The text a recipe would use.</summary>
    public override string ToString() => Length?.ToString() ?? AutoWord;
}
