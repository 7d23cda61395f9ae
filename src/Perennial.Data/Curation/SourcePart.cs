using Perennial.Data.Sources;

namespace Perennial.Data.Curation;

/// <summary>The unit of work: some consecutive files of one source.</summary>
/// <param name="Number">Number over all sources, in corpus order.</param>
/// <param name="Source">The source, by its number in the recipe.</param>
/// <param name="InSource">Number inside the source.</param>
/// <param name="Files">Its files, in order.</param>
internal sealed record SourcePart(int Number, int Source, int InSource, IReadOnlyList<SourceFile> Files)
{
    /// <summary>Files are grouped up to this many bytes; a larger file is a part of its own. Small enough to balance processes, large enough to be worth a task.</summary>
    public const long Bytes = 32 << 20;

    /// <summary>Cuts sources into parts. Depends on nothing but the files' names and lengths.</summary>
    public static IReadOnlyList<SourcePart> Plan(IReadOnlyList<IReadOnlyList<SourceFile>> sources)
    {
        var parts = new List<SourcePart>();
        for (var source = 0; source < sources.Count; source++)
        {
            var (group, bytes, inSource) = (new List<SourceFile>(), 0L, 0);
            void Close()
            {
                if (group.Count == 0) return;
                parts.Add(new SourcePart(parts.Count, source, inSource++, group));
                (group, bytes) = ([], 0);
            }
            foreach (var file in sources[source])
            {
                var length = new FileInfo(file.Path).Length;
                if (bytes + length > Bytes) Close();
                group.Add(file);
                bytes += length;
            }
            Close();
        }
        return parts;
    }
}
