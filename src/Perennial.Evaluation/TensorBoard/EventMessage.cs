namespace Perennial.Evaluation.TensorBoard;

/// <summary>
/// TensorBoard's <c>Event</c> messages, encoded by field number as in tensorboard/compat/proto: event.proto, summary.proto,
/// tensor.proto, tensor_shape.proto, types.proto.
/// </summary>
public static class EventMessage
{
    /// <summary>The first event of every file.</summary>
    public static byte[] FileVersion(double wallTime) => At(wallTime, 0).Text(3, "brain.Event:2").ToArray();

    /// <summary>Says that a process begins at a step: what older files tell about this step and later ones no longer holds.</summary>
    public static byte[] SessionStart(double wallTime, long firstStep)
    {
        const int start = 1;
        return At(wallTime, firstStep).Message(7, new ProtobufWriter().Varint(1, start)).ToArray();
    }

    /// <summary>Scalars of one step. Values that are not finite are passed on: TensorBoard marks them.</summary>
    public static byte[] Scalars(double wallTime, long step, IEnumerable<(string Tag, double Value)> scalars)
    {
        ArgumentNullException.ThrowIfNull(scalars);
        var summary = new ProtobufWriter();
        foreach (var (tag, value) in scalars)
            summary.Message(1, new ProtobufWriter().Text(1, tag).Float(2, (float)value));
        return At(wallTime, step).Message(5, summary).ToArray();
    }

    /// <summary>A text (Markdown) for the text tab.</summary>
    public static byte[] Text(double wallTime, long step, string tag, string markdown)
    {
        const int stringType = 7, tensorClass = 2;
        var plugin = new ProtobufWriter().Text(1, "text");
        var metadata = new ProtobufWriter().Message(1, plugin).Varint(4, tensorClass);
        var shape = new ProtobufWriter().Message(2, new ProtobufWriter().Varint(1, 1));
        var tensor = new ProtobufWriter().Varint(1, stringType).Message(2, shape).Text(8, markdown);
        var value = new ProtobufWriter().Text(1, tag).Message(8, tensor).Message(9, metadata);
        return At(wallTime, step).Message(5, new ProtobufWriter().Message(1, value)).ToArray();
    }

    private static ProtobufWriter At(double wallTime, long step) => new ProtobufWriter().Double(1, wallTime).Varint(2, step);
}
