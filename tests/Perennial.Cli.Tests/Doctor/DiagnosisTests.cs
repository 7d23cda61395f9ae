using System.Text.Json.Nodes;
using Perennial.Cli.Doctor;

namespace Perennial.Cli.Tests;

public class DiagnosisTests
{
    private static readonly Diagnosis Sample = new(
    [
        new FindingGroup("processor", "Processor",
        [
            new Finding("name", "name", "AMD EPYC 7B13"),
            new Finding("bfloat16", "bfloat16", "computed in float32", false, Health.Warning, "a processor with AVX512-BF16 or AMX trains about twice as fast"),
        ]),
        new FindingGroup("native", "Native engine",
        [
            new Finding("libtorch", "libtorch", "2.10.0", Health: Health.Good),
            new Finding("gemm_float32", "float32 GEMM", "130 GFLOP/s", 130e9),
        ]),
    ]);

    [Fact]
    public void The_screen_shows_facts_and_cures_where_they_belong() => Assert.Equal(
        """
        Processor
           name          AMD EPYC 7B13
         ! bfloat16      computed in float32
                         → a processor with AVX512-BF16 or AMX trains about twice as fast

        Native engine
         ✓ libtorch      2.10.0
           float32 GEMM  130 GFLOP/s

        Everything that training needs is here.
        """,
        PlainConsole.Show(DiagnosisView.Render(Sample, unicode: true), 100));

    [Fact]
    public void Programs_get_numbers_and_the_list_of_cures()
    {
        var json = Sample.ToJson();
        Assert.True((bool)json["healthy"]!);
        Assert.Equal(130e9, (double)json["native"]!["gemm_float32"]!);
        Assert.False((bool)json["processor"]!["bfloat16"]!);
        Assert.Equal("processor.bfloat16", (string)json["cures"]![0]!["what"]!);
        Assert.NotNull(JsonNode.Parse(json.ToJsonString()));
    }

    [Fact]
    public void Something_missing_is_said_last()
    {
        var broken = new Diagnosis([new FindingGroup("native", "Native engine", [new Finding("libtorch", "libtorch", "not found", Health: Health.Missing, Cure: "set PERENNIAL_LIBTORCH")])]);
        Assert.False(broken.IsHealthy);
        Assert.EndsWith("missing: see the arrows above.", PlainConsole.Show(DiagnosisView.Render(broken, unicode: false), 80), StringComparison.Ordinal);
    }
}
