namespace Perennial.Cli.Commands.Bench;

/// <summary>Where a benchmark that launches runs keeps them, with a text of its own to train on, so that the command needs nothing but itself.</summary>
internal sealed class BenchPlace : IDisposable
{
    private readonly bool isTemporary;

    /// <param name="kept">A folder that stays; null for a temporary one that goes away.</param>
    /// <param name="name">What the temporary one is called after.</param>
    public BenchPlace(string? kept, string name)
    {
        isTemporary = kept is null;
        Folder = kept is null ? Directory.CreateTempSubdirectory($"perennial-{name}-").FullName : Directory.CreateDirectory(kept).FullName;
        Text = Path.Combine(Folder, "text.txt");
        File.WriteAllText(Text, string.Concat(Enumerable.Range(0, 6000).Select(i => $"the square of {i} is {(long)i * i}, and its cube is {(long)i * i * i}.\n{(i % 5 == 4 ? "\n" : "")}")));
    }

    /// <summary>The folder.</summary>
    public string Folder { get; }

    /// <summary>The text.</summary>
    public string Text { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (isTemporary) Directory.Delete(Folder, recursive: true);
    }
}
