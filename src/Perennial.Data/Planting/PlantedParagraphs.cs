using System.Text;
using Perennial.Core;
using Perennial.Data.Sources;

namespace Perennial.Data.Planting;

/// <summary>Real text that planted documents are made of.</summary>
public static class PlantedParagraphs
{
    private const int Letters = 120, Fewest = 20;

    /// <summary>Paragraphs of more than 120 characters that end with the end of a sentence.</summary>
    /// <param name="path">Folder, file or glob of English prose.</param>
    /// <param name="cancellation">Stops between documents.</param>
    /// <remarks>
    /// What is called clean must be so by the published rules. A text of paragraphs that lead to a verse or a letter ends no line with a sentence,
    /// and FineWeb's rules remove it rightly.
    /// </remarks>
    /// <exception cref="PerennialException">Exit 2: fewer than twenty.</exception>
    public static IReadOnlyList<string> Read(string path, CancellationToken cancellation = default)
    {
        var paragraphs = DocumentSource.Read(new SourceOptions { Path = path, Split = TextSplit.Paragraph }, cancellation).ToBlockingEnumerable(cancellation)
            .Select(document => Encoding.UTF8.GetString(document.Text.Span).TrimEnd()).Where(paragraph => paragraph.Length > Letters && paragraph[^1] is ('.' or '!' or '?' or '"' or '”')).ToList();
        return paragraphs.Count >= Fewest ? paragraphs : throw PerennialException.Usage($"{path}: holds {paragraphs.Count} paragraphs of more than {Letters} characters that end with a sentence; at least {Fewest} are needed");
    }
}
