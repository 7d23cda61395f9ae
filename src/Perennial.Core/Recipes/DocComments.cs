using System.Reflection;
using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace Perennial.Core.Recipes;

/// <summary>Summaries of an assembly's doc comments, from the XML file that the compiler writes beside it.</summary>
public sealed partial class DocComments
{
    private readonly Dictionary<string, XElement> members;

    private DocComments(Dictionary<string, XElement> members) => this.members = members;

    /// <summary>Reads the comments of an assembly; none when the file is not there.</summary>
    public static DocComments Of(Assembly assembly)
    {
        ArgumentNullException.ThrowIfNull(assembly);
        var path = Path.ChangeExtension(assembly.Location, ".xml");
        return new(File.Exists(path)
            ? XDocument.Load(path).Descendants("member").Where(member => member.Attribute("name") is not null)
                .GroupBy(member => member.Attribute("name")!.Value).ToDictionary(group => group.Key, group => group.First(), StringComparer.Ordinal)
            : []);
    }

    /// <summary>The summary of a type as plain text; empty when there is none.</summary>
    public string Summary(Type type)
    {
        ArgumentNullException.ThrowIfNull(type);
        return Text(members.GetValueOrDefault("T:" + Name(type))?.Element("summary"));
    }

    /// <summary>The summary of a property as plain text (or of the record parameter that made it); empty when there is none.</summary>
    public string Summary(PropertyInfo property)
    {
        ArgumentNullException.ThrowIfNull(property);
        var type = property.DeclaringType!;
        var own = Text(members.GetValueOrDefault($"P:{Name(type)}.{property.Name}")?.Element("summary"));
        if (own.Length > 0) return own;
        return Text(members.GetValueOrDefault("T:" + Name(type))?.Elements("param").FirstOrDefault(parameter => parameter.Attribute("name")?.Value == property.Name));
    }

    private static string Name(Type type) => (type.FullName ?? type.Name).Replace('+', '.');

    private static string Text(XElement? element)
    {
        if (element is null) return "";
        var text = string.Concat(element.DescendantNodes().Select(node => node switch
        {
            XText { Parent.Name.LocalName: not ("see" or "paramref") } plain => plain.Value,
            XElement see when see.Attribute("cref") is { } cref => see.Value.Length > 0 ? see.Value : cref.Value[(cref.Value.LastIndexOfAny(['.', ':']) + 1)..],
            XElement see when see.Attribute("name") is { } name => name.Value,
            _ => "",
        }));
        return Blank().Replace(text, " ").Trim();
    }

    [GeneratedRegex(@"\s+")]
    private static partial Regex Blank();
}
