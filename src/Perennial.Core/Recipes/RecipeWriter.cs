using System.Collections;
using System.Globalization;
using System.Text;

namespace Perennial.Core.Recipes;

/// <summary>Writes bound records back as YAML that binds to an equal record: the resolved recipe of a run folder.</summary>
public static class RecipeWriter
{
    /// <summary>The record as YAML, every key spelled out in the record's own order.</summary>
    public static string ToYaml(object record)
    {
        ArgumentNullException.ThrowIfNull(record);
        var text = new StringBuilder();
        WriteMapping(text, Entries(record), 0);
        return text.ToString();
    }

    /// <summary>The record as dotted keys and texts (<c>model.layers</c> → <c>6</c>), for comparing two recipes.</summary>
    public static IReadOnlyDictionary<string, string> Flatten(object record)
    {
        var flat = new SortedDictionary<string, string>(StringComparer.Ordinal);
        Flatten(flat, "", record);
        return flat;
    }

    private static void Flatten(SortedDictionary<string, string> flat, string path, object? value)
    {
        if (value is null) flat[path] = "null";
        else if (ScalarValues.Handles(value.GetType())) flat[path] = ScalarValues.Write(value);
        else if (value is IDictionary named) foreach (DictionaryEntry entry in named) Flatten(flat, Join(path, (string)entry.Key), entry.Value);
        else if (value is IEnumerable items)
        {
            var index = 0;
            foreach (var item in items) Flatten(flat, Join(path, index++.ToString(CultureInfo.InvariantCulture)), item);
            if (index == 0) flat[path] = "[]";
        }
        else foreach (var (key, item) in Entries(value)) Flatten(flat, Join(path, key), item);
    }

    private static string Join(string path, string key) => path.Length == 0 ? key : path + "." + key;

    private static IReadOnlyList<(string Key, object? Value)> Entries(object record)
    {
        if (record is IComponentSpec spec) return [("kind", spec.Kind), .. spec.Options is null ? [] : Entries(spec.Options)];
        if (record is IDictionary named) return [.. named.Cast<DictionaryEntry>().Select(entry => ((string)entry.Key, entry.Value))];
        return [.. OptionNames.Settable(record.GetType()).Select(property => (OptionNames.ToKey(property.Name), property.GetValue(record)))];
    }

    private static void WriteMapping(StringBuilder text, IReadOnlyList<(string Key, object? Value)> entries, int indent)
    {
        foreach (var (key, value) in entries)
        {
            text.Append(' ', indent).Append(Scalar(key)).Append(':');
            WriteValue(text, value, indent);
        }
    }

    private static void WriteValue(StringBuilder text, object? value, int indent)
    {
        switch (value)
        {
            case null:
                text.Append(" null\n");
                break;
            case string words:
                text.Append(' ').Append(Scalar(words)).Append('\n');
                break;
            case var single when ScalarValues.Handles(single.GetType()):
                text.Append(' ').Append(ScalarValues.Write(single)).Append('\n');
                break;
            case IEnumerable items and not IDictionary:
                WriteSequence(text, items, indent);
                break;
            default:
                var entries = Entries(value);
                text.Append(entries.Count == 0 ? " {}\n" : "\n");
                WriteMapping(text, entries, indent + 2);
                break;
        }
    }

    private static void WriteSequence(StringBuilder text, IEnumerable items, int indent)
    {
        var list = items.Cast<object?>().ToList();
        if (list.Count == 0)
        {
            text.Append(" []\n");
            return;
        }
        text.Append('\n');
        foreach (var item in list)
        {
            text.Append(' ', indent).Append("  -");
            if (item is null || ScalarValues.Handles(item.GetType()) || (item is IEnumerable and not IDictionary))
            {
                WriteValue(text, item, indent + 2);
                continue;
            }
            var block = new StringBuilder();
            WriteMapping(block, Entries(item), indent + 4);
            // The first key shares the dash's line.
            text.Append(block.Length == 0 ? " {}\n" : string.Concat(" ", block.ToString().AsSpan(indent + 4)));
        }
    }

    /// <summary>Plain where YAML reads it back as the same text, double-quoted otherwise.</summary>
    private static string Scalar(string text)
    {
        var plain = text.Length > 0 && text is not ("null" or "~" or "true" or "false") && char.IsAsciiLetterOrDigit(text[0])
            && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or '/' or ' ') && text[^1] != ' ';
        if (plain) return text;
        var quoted = new StringBuilder("\"");
        foreach (var c in text)
        {
            _ = c switch
            {
                '"' => quoted.Append("\\\""),
                '\\' => quoted.Append("\\\\"),
                '\n' => quoted.Append("\\n"),
                '\r' => quoted.Append("\\r"),
                '\t' => quoted.Append("\\t"),
                < ' ' or '\x7f' or '\x85' or '\u2028' or '\u2029' or '\ufeff' => quoted.Append("\\u").Append(((int)c).ToString("x4", CultureInfo.InvariantCulture)),
                _ => quoted.Append(c),
            };
        }
        return quoted.Append('"').ToString();
    }
}
