using Spectre.Console;
using Spectre.Console.Rendering;

namespace Perennial.Cli.Doctor;

/// <summary>A diagnosis on the console: groups of facts, what wants a cure marked where it stands, and the verdict last.</summary>
public static class DiagnosisView
{
    /// <summary>The whole screen.</summary>
    /// <param name="diagnosis">What was found.</param>
    /// <param name="unicode">Whether the terminal shows signs beyond ASCII.</param>
    public static IRenderable Render(Diagnosis diagnosis, bool unicode)
    {
        ArgumentNullException.ThrowIfNull(diagnosis);
        var rows = new List<IRenderable>();
        var width = diagnosis.Groups.SelectMany(group => group.Findings).Select(finding => finding.Label.Length).DefaultIfEmpty(0).Max();
        foreach (var group in diagnosis.Groups)
        {
            var grid = new Grid().AddColumn(new GridColumn().NoWrap().Width(3).PadLeft(0).PadRight(0))
                .AddColumn(new GridColumn().NoWrap().Width(width).PadRight(2)).AddColumn(new GridColumn().PadRight(0));
            foreach (var finding in group.Findings)
            {
                grid.AddRow(Sign(finding.Health, unicode), new Text(finding.Label), new Text(finding.Value));
                if (finding.Cure is not null) grid.AddRow(Text.Empty, Text.Empty, new Markup($"[yellow]{(unicode ? "→" : "->")} {Markup.Escape(finding.Cure)}[/]"));
            }
            rows.Add(new Markup($"[bold]{Markup.Escape(group.Title)}[/]"));
            rows.Add(grid);
            rows.Add(Text.Empty);
        }
        rows.Add(new Markup(diagnosis.IsHealthy
            ? "[green]Everything that training needs is here.[/]"
            : "[red]Something that training needs is missing: see the arrows above.[/]"));
        return new Rows(rows);
    }

    private static Markup Sign(Health health, bool unicode) => new(health switch
    {
        Health.Good => unicode ? "[green] ✓[/]" : "[green]ok[/]",
        Health.Warning => "[yellow] ![/]",
        Health.Missing => unicode ? "[red] ✗[/]" : "[red]no[/]",
        _ => "  ",
    });
}
