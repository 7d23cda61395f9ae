namespace Perennial.Tensors;

/// <summary>
/// An operator of libtorch that the binding lacks, with the arity of its schema: the stable C ABI itself checks no counts,
/// so each operator's are written down once, beside its schema.
/// </summary>
/// <param name="Name">Qualified name, for example <c>aten::rms_norm</c>.</param>
/// <param name="Overload">Overload name; empty for the default one.</param>
/// <param name="Arguments">Arguments in the schema, defaults included: all are always passed.</param>
/// <param name="Results">Tensors that the call returns.</param>
public sealed record Operator(string Name, string Overload, int Arguments, int Results)
{
    /// <inheritdoc/>
    public override string ToString() => Overload.Length == 0 ? Name : $"{Name}.{Overload}";
}
