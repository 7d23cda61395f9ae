using System.Text;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Perennial.Core.Recipes;

/// <summary>Reads YAML (JSON is a subset) into <see cref="RecipeNode"/>s that know their line and column.</summary>
public static class RecipeDocument
{
    private const int MaximumDepth = 64;
    private const int MaximumNodes = 200_000;

    /// <summary>Reads a recipe file.</summary>
    /// <exception cref="PerennialException">Exit 2: missing, unreadable, not UTF-8, empty, or not one YAML document.</exception>
    public static RecipeNode Load(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        byte[] bytes;
        try
        {
            bytes = File.ReadAllBytes(path);
        }
        catch (Exception error) when (error is FileNotFoundException or DirectoryNotFoundException)
        {
            throw PerennialException.Usage($"{path}: no such recipe file", error);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw PerennialException.Usage(Directory.Exists(path) ? $"{path}: is a folder, a recipe is a file" : $"{path}: cannot be read: {error.Message}", error);
        }
        try
        {
            return Parse(new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(bytes), path);
        }
        catch (DecoderFallbackException error)
        {
            throw PerennialException.Usage($"{path}: is not UTF-8 text (byte {error.Index})", error);
        }
    }

    /// <summary>Parses recipe text.</summary>
    /// <param name="text">YAML.</param>
    /// <param name="name">What errors call the source.</param>
    /// <exception cref="PerennialException">Exit 2: not one YAML document.</exception>
    public static RecipeNode Parse(string text, string name)
    {
        ArgumentNullException.ThrowIfNull(text);
        try
        {
            var parser = new Parser(new StringReader(text.TrimStart('\uFEFF')));
            parser.Consume<StreamStart>();
            if (!parser.TryConsume<DocumentStart>(out _)) throw PerennialException.Usage($"{name}: is empty; a recipe has at least 'data' and 'model'");
            var reader = new NodeReader(parser, name);
            var root = reader.Read(0);
            parser.Consume<DocumentEnd>();
            if (parser.TryConsume<DocumentStart>(out var second))
                throw PerennialException.Usage($"{name}:{second.Start.Line}:{second.Start.Column}: a second YAML document begins here; a recipe is one document");
            return root;
        }
        catch (YamlException error)
        {
            var problem = error.InnerException?.Message ?? error.Message;
            throw PerennialException.Usage($"{name}:{error.Start.Line}:{error.Start.Column}: not valid YAML: {OneLine(problem)}", error);
        }
    }

    private static string OneLine(string message) => message.ReplaceLineEndings(" ").Trim();

    private sealed class NodeReader(Parser parser, string name)
    {
        private readonly Dictionary<string, RecipeNode> anchors = new(StringComparer.Ordinal);
        private int nodes;

        public RecipeNode Read(int depth)
        {
            if (++nodes > MaximumNodes) throw PerennialException.Usage($"{name}: more than {MaximumNodes} values");
            var here = At(parser.Current!.Start);
            if (depth > MaximumDepth) throw PerennialException.Usage($"{here}: nested deeper than {MaximumDepth} levels");
            if (parser.TryConsume<AnchorAlias>(out var alias))
                return anchors.TryGetValue(alias.Value.Value, out var target) ? target : throw PerennialException.Usage($"{here}: unknown anchor '*{alias.Value.Value}'");
            if (parser.TryConsume<Scalar>(out var scalar))
            {
                var quoted = scalar.Style is not ScalarStyle.Plain;
                var isNull = !quoted && scalar.Value is "" or "~" or "null";
                return Anchored(scalar, new RecipeScalar(here, isNull ? null : scalar.Value, quoted));
            }
            if (parser.TryConsume<SequenceStart>(out var sequence))
            {
                var items = new List<RecipeNode>();
                while (!parser.TryConsume<SequenceEnd>(out _)) items.Add(Read(depth + 1));
                return Anchored(sequence, new RecipeSequence(here, items));
            }
            if (parser.TryConsume<MappingStart>(out var mapping))
                return Anchored(mapping, ReadMapping(here, depth));
            throw PerennialException.Usage($"{here}: unexpected {parser.Current.GetType().Name}");
        }

        private RecipeMapping ReadMapping(RecipeLocation here, int depth)
        {
            var entries = new List<RecipeEntry>();
            var seen = new Dictionary<string, RecipeLocation>(StringComparer.Ordinal);
            while (!parser.TryConsume<MappingEnd>(out _))
            {
                var keyLocation = At(parser.Current!.Start);
                if (!parser.TryConsume<Scalar>(out var key)) throw PerennialException.Usage($"{keyLocation}: a key must be a plain word");
                if (!seen.TryAdd(key.Value, keyLocation))
                    throw PerennialException.Usage($"{keyLocation}: key '{key.Value}' is given twice (first at line {seen[key.Value].Line})");
                entries.Add(new RecipeEntry(key.Value, keyLocation, Read(depth + 1)));
            }
            return new RecipeMapping(here, entries);
        }

        private RecipeNode Anchored(NodeEvent source, RecipeNode node)
        {
            if (!source.Anchor.IsEmpty) anchors[source.Anchor.Value] = node;
            return node;
        }

        private RecipeLocation At(Mark mark) => new(name, (int)mark.Line, (int)mark.Column);
    }
}
