using Perennial.Core;
using Perennial.Experiments.Catalog;
using Perennial.Experiments.Runs;

namespace Perennial.Experiments.Tests;

public sealed class CatalogTests
{
    private const string Yaml = """
        papers:
          - { number: 6, slug: x, title: Six, year: 2025, gives: Order., status: works }
          - { number: 2, slug: reft, title: Two, year: 2023, gives: Snapshots. }
        """;

    private static PaperCatalog Catalog(TemporaryFolder folder)
    {
        folder.Write("papers/catalog.yaml", Yaml);
        Samples.Write(folder);
        return new PaperCatalog(folder["papers"], Samples.Binder);
    }

    [Fact]
    public void All_papers_are_listed_with_status_and_last_verdict()
    {
        using var folder = new TemporaryFolder();
        var catalog = Catalog(folder);
        var paper = catalog.Load(catalog.Entry("6"));
        ExperimentRun.Execute(paper, new ExperimentOptions { Folder = folder["runs/06-x"] }, new FormulaRunner(), null, CancellationToken.None);
        var list = CatalogText.List(catalog, folder["runs"]);
        Assert.Contains("02  none     –                   Two (2023)", list, StringComparison.Ordinal);
        Assert.Contains("06  works    holds               Six (2025)", list, StringComparison.Ordinal);
        Assert.Contains("2 papers: 1 work, 0 partial, 1 not built yet", list, StringComparison.Ordinal);
        var show = CatalogText.Show(catalog, catalog.Entry("06"), folder["runs"]);
        Assert.Contains("better: gain: 0.5", show, StringComparison.Ordinal);
        Assert.Contains("Verdict: holds", show, StringComparison.Ordinal);
    }

    [Fact]
    public void A_paper_that_is_not_built_says_so()
    {
        using var folder = new TemporaryFolder();
        var catalog = Catalog(folder);
        var thrown = Assert.Throws<PerennialException>(() => catalog.Load(catalog.Entry("reft")));
        Assert.Equal(ExitCode.Usage, thrown.Code);
        Assert.Contains("paper 02 (reft) is not built yet", thrown.Message, StringComparison.Ordinal);
        Assert.Contains("Not built yet", CatalogText.Show(catalog, catalog.Entry("2"), folder["runs"]), StringComparison.Ordinal);
    }

    [Fact]
    public void An_unknown_paper_is_refused()
    {
        using var folder = new TemporaryFolder();
        Assert.Equal(ExitCode.Usage, Assert.Throws<PerennialException>(() => Catalog(folder).Entry("53")).Code);
    }

    [Fact]
    public void The_repositorys_own_catalogue_holds_all_52()
    {
        var catalog = new PaperCatalog(PaperCatalog.Find(AppContext.BaseDirectory), Samples.Binder);
        Assert.Equal(Enumerable.Range(1, 52), catalog.Entries.Select(entry => entry.Number));
        Assert.All(catalog.Entries, entry => Assert.True(entry.Status != PaperStatus.Works || catalog.IsBuilt(entry)));
    }
}
