using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Models.Inference;

/// <summary>How text is generated.</summary>
public sealed record GenerationOptions
{
    /// <summary>Most tokens to generate.</summary>
    [Range(1, 1_000_000)]
    public int Tokens { get; init; } = 100;

    /// <summary>Divides the logits; 0 takes the most probable token every time.</summary>
    [Range(0.0, 100.0)]
    public double Temperature { get; init; } = 0.8;

    /// <summary>Only the k most probable tokens may be drawn; 0 for all.</summary>
    [Range(0, int.MaxValue)]
    public int TopK { get; init; }

    /// <summary>Only the most probable tokens that together reach this probability may be drawn; 1 for all.</summary>
    [Range(0.0, 1.0, MinimumIsExclusive = true)]
    public double TopP { get; init; } = 1;

    /// <summary>Key of the draws: equal seeds write equal texts.</summary>
    public ulong Seed { get; init; }

    /// <summary>Id that ends the text; null to go on to the last token.</summary>
    public int? EndOfText { get; init; }
}

/// <summary>
/// Writes text token by token with a key-value cache. When the context is full, the newer half of it is read again as the
/// new beginning, so that a text may be longer than the context.
/// </summary>
public static class Generator
{
    /// <summary>The tokens that follow a prompt, as they are made; end-of-text is not among them.</summary>
    /// <param name="model">The model.</param>
    /// <param name="prompt">At least one token; of a longer prompt than the context, the last part counts.</param>
    /// <param name="options">How.</param>
    public static IEnumerable<int> Generate(ILanguageModel model, IReadOnlyList<int> prompt, GenerationOptions options)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(prompt);
        ArgumentNullException.ThrowIfNull(options);
        if (prompt.Count == 0) throw new ArgumentException("a prompt has at least one token", nameof(prompt));
        return Tokens();

        IEnumerable<int> Tokens()
        {
            using var decoder = new IncrementalDecoder(model);
            var text = prompt.Skip(Math.Max(0, prompt.Count - model.Config.Context)).ToList();
            var logits = decoder.Feed(text);
            for (var i = 0; i < options.Tokens; i++)
            {
                var token = TokenSampler.Draw(logits, options, (ulong)i);
                if (token == options.EndOfText) yield break;
                yield return token;
                text.Add(token);
                if (i + 1 == options.Tokens) yield break;
                if (decoder.Length < model.Config.Context)
                {
                    logits = decoder.Feed([token]);
                    continue;
                }
                text = text[^Math.Max(1, model.Config.Context / 2)..];
                decoder.Clear();
                logits = decoder.Feed(text);
            }
        }
    }
}
