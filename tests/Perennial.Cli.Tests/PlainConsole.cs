using Spectre.Console;
using Spectre.Console.Rendering;

namespace Perennial.Cli.Tests;

/// <summary>A console of fixed width without colours, whose screen is text.</summary>
internal sealed class PlainConsole(int width, bool unicode = true)
{
    private readonly StringWriter screen = new() { NewLine = "\n" };
    private IAnsiConsole? console;

    public IAnsiConsole Console => console ??= Make();

    public string Screen => string.Join('\n', screen.ToString().ReplaceLineEndings("\n").Split('\n').Select(line => line.TrimEnd())).TrimEnd('\n');

    public static string Show(IRenderable renderable, int width, bool unicode = true)
    {
        var plain = new PlainConsole(width, unicode);
        plain.Console.Write(renderable);
        return plain.Screen;
    }

    private IAnsiConsole Make()
    {
        var made = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = AnsiSupport.No, ColorSystem = ColorSystemSupport.NoColors, Interactive = InteractionSupport.No, Out = new AnsiConsoleOutput(screen),
        });
        made.Profile.Width = width;
        made.Profile.Capabilities.Unicode = unicode;
        return made;
    }
}
