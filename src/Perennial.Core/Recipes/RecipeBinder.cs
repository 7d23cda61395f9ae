using System.Collections;
using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;

namespace Perennial.Core.Recipes;

/// <summary>
/// Binds recipe nodes to immutable records. Every key must be read by something: an unknown key, a missing one, a wrong
/// type or an impossible value is an error at its own place. Exit code 2. A property of type <see cref="RecipeNode"/> takes
/// the node as it stands.
/// </summary>
/// <param name="components">Components that <see cref="ComponentSpec{T}"/> properties may name.</param>
public sealed class RecipeBinder(ComponentRegistry components)
{
    private static readonly NullabilityInfoContext Nullability = new();

    /// <summary>Binds a node to a type: a record, a list, a component choice or a single value.</summary>
    /// <exception cref="PerennialException">Exit 2, with file, line and column.</exception>
    public T Bind<T>(RecipeNode node) => (T)Bind(node, typeof(T), "")!;

    private object? Bind(RecipeNode node, Type type, string key)
    {
        if (type == typeof(RecipeNode)) return node;
        if (Nullable.GetUnderlyingType(type) is { } inner) return node is RecipeScalar { Text: null } ? null : Bind(node, inner, key);
        if (IsComponent(type)) return BindComponent(node, type, key, usual: null);
        if (ScalarValues.Handles(type)) return ScalarValues.Read(node, type, key);
        if (ElementType(type) is { } element) return BindList(node, element, key);
        if (DictionaryValue(type) is { } value) return BindDictionary(node, value, key);
        return BindRecord(node, type, key, skip: null);
    }

    private static bool IsComponent(Type type) => type.IsGenericType && type.GetGenericTypeDefinition() == typeof(ComponentSpec<>);

    // A section without a kind means the component that stands when the section is left out.
    private object BindComponent(RecipeNode node, Type type, string key, IComponentSpec? usual)
    {
        var contract = type.GetGenericArguments()[0];
        var role = ComponentRegistry.RoleOf(contract);
        var kindNode = node switch
        {
            RecipeScalar { Text: not null } word => word,
            RecipeMapping mapping => mapping["kind"] ?? (usual is null ? null : new RecipeScalar(mapping.Location, usual.Kind)) ?? throw node.Error($"'{key}' needs a 'kind'; known: {string.Join(", ", components.Kinds(contract))}"),
            _ => throw node.Error($"'{key}' must be a {role}: a kind, or a mapping with 'kind'; found {node.Describe}"),
        };
        if (kindNode is not RecipeScalar { Text: { } kind }) throw kindNode.Error($"'kind' must be a word; found {kindNode.Describe}");
        var component = components.Find(contract, kind)
            ?? throw kindNode.Error($"unknown {role} '{kind}'{Nearest.Hint(kind, components.Kinds(contract))}");
        var body = node as RecipeMapping ?? new RecipeMapping(node.Location, []);
        object? options = null;
        if (component.Options is not null)
            options = BindRecord(body, component.Options, key, skip: "kind");
        else if (body.Entries.FirstOrDefault(entry => entry.Key != "kind") is { } extra)
            throw PerennialException.Usage($"{extra.KeyLocation}: {role} '{kind}' has no key '{extra.Key}'");
        return Activator.CreateInstance(type, kind, component.Implementation, options)!;
    }

    private IList BindList(RecipeNode node, Type element, string key)
    {
        var items = node switch
        {
            RecipeSequence sequence => sequence.Items,
            RecipeScalar { Text: null } => [],
            _ => throw node.Error($"'{key}' must be a list, such as [a, b]; found {node.Describe}"),
        };
        var list = Array.CreateInstance(element, items.Count);
        for (var i = 0; i < items.Count; i++) list.SetValue(Bind(items[i], element, $"{key}[{i}]"), i);
        return list;
    }

    private IDictionary BindDictionary(RecipeNode node, Type value, string key)
    {
        if (node is not RecipeMapping mapping) throw node.Error($"'{key}' must be a mapping of names to values; found {node.Describe}");
        var dictionary = (IDictionary)Activator.CreateInstance(typeof(Dictionary<,>).MakeGenericType(typeof(string), value), StringComparer.Ordinal)!;
        foreach (var entry in mapping.Entries) dictionary[entry.Key] = Bind(entry.Value, value, entry.Key);
        return dictionary;
    }

    private object BindRecord(RecipeNode node, Type type, string key, string? skip)
    {
        if (node is RecipeScalar { Text: null }) node = new RecipeMapping(node.Location, []);
        if (node is not RecipeMapping mapping)
            throw node.Error($"'{(key.Length > 0 ? key : "recipe")}' must be a mapping of keys; found {node.Describe}");
        var properties = OptionNames.Settable(type).ToDictionary(property => OptionNames.ToKey(property.Name), StringComparer.Ordinal);
        foreach (var entry in mapping.Entries.Where(entry => entry.Key != skip && !properties.ContainsKey(entry.Key)))
            throw PerennialException.Usage($"{entry.KeyLocation}: unknown key '{entry.Key}'{Nearest.Hint(entry.Key, properties.Keys)}");
        foreach (var (name, property) in properties)
        {
            if (property.IsDefined(typeof(RequiredMemberAttribute)) && mapping[name] is null)
                throw mapping.Error($"{(key.Length > 0 ? $"'{key}'" : "the recipe")} needs '{name}'");
        }
        var record = NewRecord(type);
        foreach (var entry in mapping.Entries.Where(entry => entry.Key != skip))
        {
            var property = properties[entry.Key];
            if (MayBeNull(property) && entry.Value is RecipeScalar { Text: null })
            {
                property.SetValue(record, null);
                continue;
            }
            var bound = IsComponent(property.PropertyType)
                ? BindComponent(entry.Value, property.PropertyType, entry.Key, property.GetValue(record) as IComponentSpec)
                : Bind(entry.Value, property.PropertyType, entry.Key);
            Validate(property, bound, entry);
            property.SetValue(record, bound);
        }
        if (record is IValidatedOptions validated)
        {
            foreach (var (broken, problem) in validated.Problems())
            {
                var entry = mapping.Entries.FirstOrDefault(entry => entry.Key == broken.Split('.')[0]);
                throw PerennialException.Usage($"{(entry?.Value ?? mapping).Location}: '{broken}' {problem}");
            }
        }
        return record;
    }

    /// <summary>Whether a key may be written without a value.</summary>
    internal static bool MayBeNull(PropertyInfo property)
    {
        if (property.PropertyType.IsValueType) return Nullable.GetUnderlyingType(property.PropertyType) is not null;
        lock (Nullability) return Nullability.Create(property).WriteState == NullabilityState.Nullable;
    }

    private static object NewRecord(Type type)
    {
        // Records with only optional constructor parameters are made with their defaults.
        var constructor = type.GetConstructors().OrderBy(candidate => candidate.GetParameters().Length).FirstOrDefault()
            ?? throw new InvalidOperationException($"{type} has no public constructor");
        var parameters = constructor.GetParameters();
        if (parameters.Any(parameter => !parameter.HasDefaultValue)) throw new InvalidOperationException($"{type}: options records need defaults for constructor parameters");
        return constructor.Invoke([.. parameters.Select(parameter => parameter.DefaultValue)]);
    }

    private static void Validate(PropertyInfo property, object? value, RecipeEntry entry)
    {
        foreach (var rule in property.GetCustomAttributes<ValidationAttribute>())
        {
            if (!Holds(rule, value)) throw entry.Value.Error($"'{entry.Key}' {Wording(rule, entry.Value)}");
        }
    }

    private static bool Holds(ValidationAttribute rule, object? value) => (rule, value) switch
    {
        // A range on a list is a range of each of its items.
        (RangeAttribute, IList list) => list.Cast<object?>().All(item => Holds(rule, item)),
        (RangeAttribute range, Count count) => InRange(range, count.Value),
        (RangeAttribute range, RunLength length) => InRange(range, length.Amount),
        (RangeAttribute range, IConvertible number) when number is not string => InRange(range, number),
        _ => rule.IsValid(value),
    };

    private static bool InRange(RangeAttribute range, IConvertible value)
    {
        var number = value.ToDouble(CultureInfo.InvariantCulture);
        var minimum = Convert.ToDouble(range.Minimum, CultureInfo.InvariantCulture);
        var maximum = Convert.ToDouble(range.Maximum, CultureInfo.InvariantCulture);
        return (range.MinimumIsExclusive ? number > minimum : number >= minimum) && (range.MaximumIsExclusive ? number < maximum : number <= maximum);
    }

    private static string Wording(ValidationAttribute rule, RecipeNode value) => rule switch
    {
        RangeAttribute range when IsUnbounded(range.Maximum) => $"must be {(range.MinimumIsExclusive ? "above" : "at least")} {Plain(range.Minimum)}; found {value.Describe}",
        RangeAttribute range => $"must be {(range.MinimumIsExclusive ? "above" : "from")} {Plain(range.Minimum)} {(range.MaximumIsExclusive ? "and below" : "to")} {Plain(range.Maximum)}; found {value.Describe}",
        MinLengthAttribute length => $"needs at least {length.Length} {(length.Length == 1 ? "item" : "items")}",
        LengthAttribute length => length.MinimumLength == length.MaximumLength ? $"needs exactly {length.MinimumLength} items" : $"needs {length.MinimumLength} to {length.MaximumLength} items",
        RegularExpressionAttribute pattern => $"must look like {pattern.Pattern}; found {value.Describe}",
        _ => $"is not allowed here; found {value.Describe}",
    };

    private static string Plain(object bound) => Convert.ToString(bound, CultureInfo.InvariantCulture)!;

    private static bool IsUnbounded(object bound) => bound is int.MaxValue || bound is double number && (number >= long.MaxValue);

    internal static Type? ElementType(Type type)
    {
        if (type.IsArray) return type.GetElementType();
        if (!type.IsGenericType) return null;
        var definition = type.GetGenericTypeDefinition();
        return definition == typeof(IReadOnlyList<>) || definition == typeof(IReadOnlyCollection<>) || definition == typeof(IEnumerable<>) ? type.GetGenericArguments()[0] : null;
    }

    internal static Type? DictionaryValue(Type type) =>
        type.IsGenericType && type.GetGenericTypeDefinition() == typeof(IReadOnlyDictionary<,>) && type.GetGenericArguments()[0] == typeof(string) ? type.GetGenericArguments()[1] : null;
}
