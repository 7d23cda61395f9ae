namespace Perennial.Core;

/// <summary>
/// Marks an interface whose implementations a recipe chooses by <c>kind</c>, for example <c>optimizer: { kind: adamw }</c>.
/// </summary>
/// <param name="role">The word that <c>perennial components</c> groups by, such as <c>optimizer</c>.</param>
[AttributeUsage(AttributeTargets.Interface)]
public sealed class ComponentRoleAttribute(string role) : Attribute
{
    /// <summary>The word that <c>perennial components</c> groups by.</summary>
    public string Role { get; } = role;
}

/// <summary>
/// Names a component. The class's constructor takes its options record first (may be left out), then whatever the
/// role's documentation says is at hand when it is made (matched by type). The class's doc summary is its help line.
/// </summary>
/// <param name="kind">The word a recipe uses, lower case with hyphens.</param>
[AttributeUsage(AttributeTargets.Class)]
public sealed class ComponentAttribute(string kind) : Attribute
{
    /// <summary>The word a recipe uses.</summary>
    public string Kind { get; } = kind;
}

/// <summary>A component choice whose role is not known where it is read.</summary>
internal interface IComponentSpec
{
    string Kind { get; }

    object? Options { get; }
}

/// <summary>What a recipe chose for one role: the kind and its bound, validated options.</summary>
/// <typeparam name="T">The role's interface, marked with <see cref="ComponentRoleAttribute"/>.</typeparam>
/// <param name="Kind">The recipe's word.</param>
/// <param name="Implementation">The class that carries <see cref="ComponentAttribute"/>.</param>
/// <param name="Options">The bound options record, or null when the class takes none.</param>
public sealed record ComponentSpec<T>(string Kind, Type Implementation, object? Options) : IComponentSpec
    where T : class
{
    /// <summary>Makes the component. Constructor parameters after the options are taken from <paramref name="services"/> by type.</summary>
    /// <exception cref="InvalidOperationException">A constructor parameter has no match in <paramref name="services"/>.</exception>
    public T Create(params object[] services)
    {
        var constructor = Implementation.GetConstructors().Single();
        var arguments = constructor.GetParameters().Select(parameter =>
            Options is not null && parameter.ParameterType.IsInstanceOfType(Options)
                ? Options
                : services.FirstOrDefault(parameter.ParameterType.IsInstanceOfType)
                  ?? throw new InvalidOperationException(
                      $"component '{Kind}' ({Implementation.Name}) asks for a {parameter.ParameterType.Name}, which its role does not offer"));
        try
        {
            return (T)constructor.Invoke([.. arguments]);
        }
        catch (System.Reflection.TargetInvocationException thrown) when (thrown.InnerException is not null)
        {
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Capture(thrown.InnerException).Throw();
            throw;
        }
    }
}

/// <summary>Options that know rules between their own keys.</summary>
public interface IValidatedOptions
{
    /// <summary>Every broken rule: the recipe key it is about (kebab-case, relative to this record) and what would be right.</summary>
    IEnumerable<(string Key, string Problem)> Problems();
}
