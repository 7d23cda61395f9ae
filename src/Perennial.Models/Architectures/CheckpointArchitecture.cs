using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Models.HuggingFace;

namespace Perennial.Models;

/// <summary>Options of <see cref="CheckpointArchitecture"/>.</summary>
public sealed record CheckpointOptions : IValidatedOptions
{
    /// <summary>Folder with <c>config.json</c> and safetensors weights, as Perennial or Hugging Face's libraries write it.</summary>
    public string Path { get; init; } = "";

    /// <summary>Longest sequence and training window; the checkpoint's own when left out. A rotary model may take a shorter one, GPT-2 (learned positions) may not change it.</summary>
    [Range(1, 1 << 20)]
    public int? Context { get; init; }

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (string.IsNullOrWhiteSpace(Path)) yield return ("path", "is needed: the folder of the checkpoint to continue from");
    }
}

/// <summary>Continue from a checkpoint folder: its architecture and its weights, Llama, Qwen2 or GPT-2 alike.</summary>
[Component("checkpoint")]
public sealed class CheckpointArchitecture(CheckpointOptions options) : IModelArchitecture
{
    /// <inheritdoc/>
    public string? InitialCheckpoint => options.Path;

    /// <inheritdoc/>
    /// <exception cref="PerennialException">Exit 2: no such folder, or the tokenizer or context does not fit it. Exit 3: it is damaged or not supported.</exception>
    public DecoderConfig Describe(int vocabulary, int endOfText)
    {
        var config = ConfigJson.Read(options.Path);
        if (options.Context is { } context && (context > config.Context || (context != config.Context && config.Family == ModelFamily.Gpt2)))
            throw PerennialException.Usage($"model.context: {context} does not fit {options.Path}, whose context is {config.Context}; leave it out{(config.Family == ModelFamily.Gpt2 ? "" : " or take a shorter one")}");
        return config with { Context = options.Context ?? config.Context };
    }
}
