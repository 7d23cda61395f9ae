using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using Perennial.Core;

namespace Perennial.Data.Synthesis;

/// <summary>An endpoint that speaks OpenAI's chat completions (vLLM, llama.cpp, Ollama, hosted ones).</summary>
/// <param name="client">The connection; its owner disposes it.</param>
/// <param name="address">Address up to and without <c>/chat/completions</c>.</param>
/// <param name="model">The model's name there.</param>
/// <param name="key">The key, or null.</param>
public sealed class OpenAiGenerator(HttpClient client, Uri address, string model, string? key) : IGenerator
{
    /// <inheritdoc/>
    public string Id => $"{address} {model}";

    /// <inheritdoc/>
    public async Task<Generated> Generate(GenerationRequest request, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(request);
        using var message = new HttpRequestMessage(HttpMethod.Post, new Uri($"{address.ToString().TrimEnd('/')}/chat/completions"))
        {
            Content = JsonContent.Create(new { model, messages = new[] { new { role = "user", content = request.Prompt } }, max_tokens = request.Tokens, temperature = request.Temperature, seed = (long)(request.Seed & long.MaxValue) }),
        };
        if (key is not null) message.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key);
        using var answer = await client.SendAsync(message, cancellation).ConfigureAwait(false);
        var body = await answer.Content.ReadAsStringAsync(cancellation).ConfigureAwait(false);
        // Too many requests and failures of the server pass; everything else of the kind 4xx is our mistake and would come again.
        if (answer.StatusCode == HttpStatusCode.TooManyRequests || (int)answer.StatusCode >= 500) throw new HttpRequestException($"{(int)answer.StatusCode} {answer.ReasonPhrase}", null, answer.StatusCode);
        if (!answer.IsSuccessStatusCode) throw PerennialException.Usage($"{address}: {(int)answer.StatusCode} {answer.ReasonPhrase}: {body.ReplaceLineEndings(" ")[..Math.Min(body.Length, 200)]}");
        try
        {
            using var json = JsonDocument.Parse(body);
            var text = json.RootElement.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString() ?? "";
            var used = json.RootElement.TryGetProperty("usage", out var usage) && usage.TryGetProperty("total_tokens", out var total) ? total.GetInt64() : 0;
            return new Generated(text, used);
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException or IndexOutOfRangeException)
        {
            throw new HttpRequestException($"the answer is no chat completion: {error.Message}", error);
        }
    }
}
