using System.Reflection;

namespace Perennial.Core.Recipes;

/// <summary>One component that a recipe can name.</summary>
/// <param name="Role">The word of its role (<c>optimizer</c>, <c>filter</c> …).</param>
/// <param name="Contract">The role's interface.</param>
/// <param name="Kind">The recipe's word.</param>
/// <param name="Implementation">The class.</param>
/// <param name="Options">Its options record, or null when it has none.</param>
/// <param name="Comments">Its assembly's doc comments, read when they are asked for.</param>
public sealed record ComponentDescriptor(string Role, Type Contract, string Kind, Type Implementation, Type? Options, Lazy<DocComments> Comments)
{
    /// <summary>First sentence of its doc comment; empty when there is none.</summary>
    public string Summary => Comments.Value.Summary(Implementation);
}

/// <summary>Every component of a set of assemblies. Found by attribute, so that a new file needs no list to be edited.</summary>
public sealed class ComponentRegistry
{
    private readonly Dictionary<(Type Contract, string Kind), ComponentDescriptor> byKind = [];

    private ComponentRegistry(IEnumerable<ComponentDescriptor> components)
    {
        All = [.. components.OrderBy(component => component.Role, StringComparer.Ordinal).ThenBy(component => component.Kind, StringComparer.Ordinal)];
        foreach (var component in All)
        {
            if (!byKind.TryAdd((component.Contract, component.Kind), component))
                throw new InvalidOperationException($"two components of role '{component.Role}' are called '{component.Kind}': {byKind[(component.Contract, component.Kind)].Implementation} and {component.Implementation}");
        }
    }

    /// <summary>All components, by role, then kind.</summary>
    public IReadOnlyList<ComponentDescriptor> All { get; }

    /// <summary>Finds the components in assemblies.</summary>
    /// <exception cref="InvalidOperationException">A component has no role, no single constructor, or another's name.</exception>
    public static ComponentRegistry Scan(IEnumerable<Assembly> assemblies)
    {
        ArgumentNullException.ThrowIfNull(assemblies);
        return new(assemblies.Distinct().SelectMany(Components));
    }

    /// <summary>Finds the components of every <c>Perennial.*</c> assembly that this program is made of.</summary>
    public static ComponentRegistry ScanHouse() =>
        Scan(((string?)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES") ?? "").Split(Path.PathSeparator)
            .Select(path => Path.GetFileNameWithoutExtension(path))
            .Where(name => name.StartsWith("Perennial.", StringComparison.Ordinal) && !name.EndsWith(".Tests", StringComparison.Ordinal))
            .Order(StringComparer.Ordinal).Select(Assembly.Load));

    /// <summary>The component of a kind, or null.</summary>
    public ComponentDescriptor? Find(Type contract, string kind) => byKind.GetValueOrDefault((contract, kind));

    /// <summary>The kinds of a role.</summary>
    public IReadOnlyList<string> Kinds(Type contract) => [.. All.Where(component => component.Contract == contract).Select(component => component.Kind)];

    /// <summary>The word of a role's interface.</summary>
    public static string RoleOf(Type contract) => contract.GetCustomAttribute<ComponentRoleAttribute>()?.Role
        ?? throw new InvalidOperationException($"{contract.Name} has no [ComponentRole]");

    private static IEnumerable<ComponentDescriptor> Components(Assembly assembly)
    {
        var comments = new Lazy<DocComments>(() => DocComments.Of(assembly));
        foreach (var type in assembly.GetTypes())
        {
            if (type.GetCustomAttribute<ComponentAttribute>() is not { } component) continue;
            var contracts = type.GetInterfaces().Where(contract => contract.IsDefined(typeof(ComponentRoleAttribute), false)).ToList();
            if (contracts.Count == 0) throw new InvalidOperationException($"{type} is a component but implements no interface with a [ComponentRole]");
            var constructors = type.GetConstructors();
            if (constructors.Length != 1) throw new InvalidOperationException($"{type} is a component and must have exactly one public constructor");
            var first = constructors[0].GetParameters().FirstOrDefault()?.ParameterType;
            var options = first is not null && first.Name.EndsWith("Options", StringComparison.Ordinal) ? first : null;
            foreach (var contract in contracts)
                yield return new ComponentDescriptor(RoleOf(contract), contract, component.Kind, type, options, comments);
        }
    }
}
