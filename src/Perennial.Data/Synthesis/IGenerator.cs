namespace Perennial.Data.Synthesis;

/// <summary>What a generator is asked.</summary>
/// <param name="Prompt">The prompt, with the source document in it.</param>
/// <param name="Tokens">Most tokens of the answer.</param>
/// <param name="Temperature">Sampling temperature; 0 is greedy.</param>
/// <param name="Seed">Key of the sampling.</param>
public sealed record GenerationRequest(string Prompt, int Tokens, double Temperature, ulong Seed);

/// <summary>What came back.</summary>
/// <param name="Text">The answer.</param>
/// <param name="TokensUsed">Tokens of prompt and answer, as far as the generator tells; 0 where it does not.</param>
public sealed record Generated(string Text, long TokensUsed);

/// <summary>Makes text from a prompt: an endpoint, a checkpoint, or rules. Thread-safe.</summary>
public interface IGenerator
{
    /// <summary>Name and version of the generator: part of what an answer is cached under.</summary>
    string Id { get; }

    /// <summary>Answers one request.</summary>
    /// <exception cref="HttpRequestException">A failure that may pass: the caller tries again.</exception>
    Task<Generated> Generate(GenerationRequest request, CancellationToken cancellation);
}
