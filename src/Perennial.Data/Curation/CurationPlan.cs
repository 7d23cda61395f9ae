using System.IO.Hashing;
using System.Text;
using Perennial.Core;
using Perennial.Data.Preparation;
using Perennial.Data.Sources;

namespace Perennial.Data.Curation;

/// <summary>What is to be curated, and how.</summary>
/// <param name="Sources">The recipe's sources.</param>
/// <param name="Files">Their files.</param>
/// <param name="Pipeline">The operators.</param>
/// <param name="Seed">Key of operators' draws.</param>
internal sealed record CurationPlan(IReadOnlyList<SourceOptions> Sources, IReadOnlyList<IReadOnlyList<SourceFile>> Files, IReadOnlyList<ComponentSpec<IFilter>> Pipeline, ulong Seed)
{
    /// <summary>The held-out split.</summary>
    public HoldoutRule Holdout { get; init; } = new(0, 0);

    /// <summary>Filters of held-out documents instead of <see cref="Pipeline"/>; null when they go through that.</summary>
    public IReadOnlyList<ComponentSpec<IFilter>>? HeldOutPipeline { get; init; }

    /// <summary>Whether the text of removed documents is kept, with reasons.</summary>
    public bool KeepRemoved { get; init; }

    /// <summary>Tasks at a time in this process.</summary>
    public int Threads { get; init; } = Environment.ProcessorCount;

    /// <summary>Bytes of memory a corpus operator's decision may take, roughly.</summary>
    public long Memory { get; init; } = 1L << 30;

    /// <summary>What operators' constructors may ask for beside a <see cref="FilterContext"/>.</summary>
    public object[] Services { get; init; } = [];

    /// <summary>Hash (hex) of the content of all files that operators themselves read (word lists, models, references).</summary>
    public static string FilesOf(IEnumerable<ComponentSpec<IFilter>> pipeline, CancellationToken cancellation)
    {
        var hash = new XxHash128();
        foreach (var file in pipeline.Select(spec => spec.Options).OfType<IReadsFiles>().SelectMany(options => options.Files()).SelectMany(path => SourceFiles.FindAny(path)))
        {
            hash.Append(Encoding.UTF8.GetBytes(file + "\n"));
            hash.Append(SourceFingerprint.HashFile(file, cancellation));
        }
        return Convert.ToHexStringLower(hash.GetCurrentHash());
    }
}
