using static TorchSharp.torch;

namespace Perennial.Tensors;

/// <summary>
/// Calls operators of libtorch by name through the stable C ABI, for those that TorchSharp does not bind. Calls go through the
/// whole dispatcher, so autograd records them like any other. TorchSharp must be initialized (any
/// tensor made). An <see cref="Operator"/> and its arguments must match the schema: names and counts are
/// checked, types are the caller's business.
/// </summary>
public static class Dispatcher
{
    /// <summary>Calls an operator that returns nothing (in-place operators on lists).</summary>
    /// <exception cref="ArgumentException">The number of arguments or results is not the operator's.</exception>
    /// <exception cref="OperatorException">libtorch refused the call: no such operator, or shapes or types that do not fit.</exception>
    public static void Run(Operator op, params ReadOnlySpan<Argument> arguments)
    {
        ArgumentNullException.ThrowIfNull(op);
        if (op.Results != 0) throw new ArgumentException($"{op} returns {op.Results} tensors", nameof(op));
        Invoke(op, arguments, []);
    }

    /// <summary>Calls an operator that returns one tensor, which belongs to the current dispose scope.</summary>
    /// <exception cref="ArgumentException">The number of arguments or results is not the operator's.</exception>
    /// <exception cref="OperatorException">libtorch refused the call: no such operator, or shapes or types that do not fit.</exception>
    public static Tensor Call(Operator op, params ReadOnlySpan<Argument> arguments)
    {
        ArgumentNullException.ThrowIfNull(op);
        if (op.Results != 1) throw new ArgumentException($"{op} returns {op.Results} tensors", nameof(op));
        Span<nint> results = [0];
        Invoke(op, arguments, results);
        return Tensor.UnsafeCreateTensor(results[0]);
    }

    /// <summary>Calls an operator that returns several tensors, which belong to the current dispose scope.</summary>
    /// <exception cref="ArgumentException">The number of arguments is not the operator's.</exception>
    /// <exception cref="OperatorException">libtorch refused the call: no such operator, or shapes or types that do not fit.</exception>
    public static Tensor[] CallMany(Operator op, params ReadOnlySpan<Argument> arguments)
    {
        ArgumentNullException.ThrowIfNull(op);
        Span<nint> handles = stackalloc nint[op.Results];
        Invoke(op, arguments, handles);
        var results = new Tensor[handles.Length];
        for (var i = 0; i < results.Length; i++) results[i] = Tensor.UnsafeCreateTensor(handles[i]);
        return results;
    }

    private static unsafe void Invoke(Operator op, ReadOnlySpan<Argument> arguments, Span<nint> results)
    {
        if (arguments.Length != op.Arguments) throw new ArgumentException($"{op} takes {op.Arguments} arguments, not {arguments.Length}", nameof(arguments));
        var stack = stackalloc ulong[Math.Max(op.Arguments, op.Results)];
        for (var i = 0; i < arguments.Length; i++) stack[i] = arguments[i].ToStack();
        StableAbi.Check(StableAbi.CallDispatcher(op.Name, op.Overload, stack, StableAbi.Version), op.ToString());
        for (var i = 0; i < results.Length; i++) results[i] = (nint)stack[i];
    }
}
