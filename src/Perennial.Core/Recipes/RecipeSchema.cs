using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;

namespace Perennial.Core.Recipes;

/// <summary>JSON Schema (draft 2020-12) of what <see cref="RecipeBinder"/> binds: keys, types, ranges, kinds and their help, from the same types.</summary>
/// <param name="components">Components that recipes may name.</param>
public sealed class RecipeSchema(ComponentRegistry components)
{
    private const string LengthPattern = "every-step|[0-9.]+%|[0-9._]+[kKMBGT]?( (steps?|tokens?))?";
    private readonly Dictionary<Assembly, DocComments> comments = [];

    /// <summary>The schema of a recipe record.</summary>
    public JsonObject Of(Type recipe)
    {
        var schema = Record(recipe, kind: null);
        schema["$schema"] = "https://json-schema.org/draft/2020-12/schema";
        schema["title"] = "Perennial recipe";
        return schema;
    }

    private JsonObject Value(Type type)
    {
        type = Nullable.GetUnderlyingType(type) ?? type;
        if (type.IsGenericType && type.GetGenericTypeDefinition() == typeof(ComponentSpec<>)) return Choice(type.GetGenericArguments()[0]);
        if (type.IsEnum) return new() { ["enum"] = new JsonArray([.. OptionNames.EnumWords(type).Keys.Select(word => (JsonNode)word)]) };
        if (type == typeof(string)) return new() { ["type"] = "string" };
        if (type == typeof(bool)) return new() { ["type"] = "boolean" };
        if (type == typeof(double) || type == typeof(float)) return new() { ["type"] = new JsonArray("number", "string") };
        if (type == typeof(RunLength)) return new() { ["type"] = new JsonArray("integer", "string"), ["pattern"] = $"^({LengthPattern})$" };
        if (type == typeof(SavingInterval)) return new() { ["type"] = new JsonArray("integer", "string"), ["pattern"] = $"^(auto|{LengthPattern})$" };
        if (ScalarValues.Handles(type)) return new() { ["type"] = new JsonArray("integer", "string"), ["pattern"] = "^[0-9._]+[kKMBGT]?$" };
        if (RecipeBinder.ElementType(type) is { } element) return new() { ["type"] = "array", ["items"] = Value(element) };
        if (RecipeBinder.DictionaryValue(type) is { } value) return new() { ["type"] = "object", ["additionalProperties"] = Value(value) };
        return Record(type, kind: null);
    }

    private JsonObject Choice(Type contract)
    {
        var choices = new JsonArray();
        var found = components.All.Where(component => component.Contract == contract).ToList();
        choices.Add(new JsonObject { ["enum"] = new JsonArray([.. found.Select(component => (JsonNode)component.Kind)]) });
        foreach (var component in found)
        {
            var choice = component.Options is null ? new JsonObject { ["type"] = "object", ["additionalProperties"] = false, ["properties"] = new JsonObject() } : Record(component.Options, component.Kind);
            var properties = (JsonObject)choice["properties"]!;
            properties["kind"] = new JsonObject { ["const"] = component.Kind };
            var required = choice["required"] as JsonArray ?? [];
            required.Add("kind");
            choice["required"] = required;
            choice["description"] = component.Summary;
            choices.Add(choice);
        }
        return new() { ["oneOf"] = choices };
    }

    private JsonObject Record(Type type, string? kind)
    {
        var (properties, required) = (new JsonObject(), new JsonArray());
        foreach (var property in OptionNames.Settable(type))
        {
            var schema = Value(property.PropertyType);
            if (Help(property) is { Length: > 0 } help) schema["description"] = help;
            if (property.GetCustomAttribute<RangeAttribute>() is { } range) AddRange(schema, range);
            if (property.GetCustomAttribute<MinLengthAttribute>() is { } length) schema["minItems"] = length.Length;
            properties[OptionNames.ToKey(property.Name)] = RecipeBinder.MayBeNull(property) ? OrNull(schema) : schema;
            if (property.IsDefined(typeof(RequiredMemberAttribute))) required.Add(OptionNames.ToKey(property.Name));
        }
        var record = new JsonObject { ["type"] = "object", ["additionalProperties"] = false, ["properties"] = properties };
        if (required.Count > 0) record["required"] = required;
        if (kind is null && DocsOf(type.Assembly).Summary(type) is { Length: > 0 } summary) record["description"] = summary;
        return record;
    }

    /// <summary>The description stays outside, where editors look for it.</summary>
    private static JsonObject OrNull(JsonObject schema)
    {
        var choice = new JsonObject { ["anyOf"] = new JsonArray(schema, new JsonObject { ["type"] = "null" }) };
        if (schema["description"] is { } help)
        {
            schema.Remove("description");
            choice["description"] = help;
        }
        return choice;
    }

    private static void AddRange(JsonObject schema, RangeAttribute range)
    {
        var (low, high) = (Convert.ToDouble(range.Minimum, CultureInfo.InvariantCulture), Convert.ToDouble(range.Maximum, CultureInfo.InvariantCulture));
        schema[range.MinimumIsExclusive ? "exclusiveMinimum" : "minimum"] = low;
        if (high < int.MaxValue) schema[range.MaximumIsExclusive ? "exclusiveMaximum" : "maximum"] = high;
    }

    private string Help(PropertyInfo property) => DocsOf(property.DeclaringType!.Assembly).Summary(property);

    private DocComments DocsOf(Assembly assembly) => comments.TryGetValue(assembly, out var known) ? known : comments[assembly] = DocComments.Of(assembly);
}
