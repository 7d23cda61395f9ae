using Perennial.Optimization;
using Perennial.Training.Recipes;
using Perennial.Training.Runs;

namespace Perennial.Training.Tests;

public class RecipeResolutionTests
{
    [Fact]
    public void What_an_optimizer_leaves_to_the_machine_is_decided_once()
    {
        var asked = Recipe("{ kind: muon }");
        Assert.Equal(ProductPrecision.Auto, Products(asked));
        var onAccelerated = RecipeResolution.Resolve(asked, null, hasNativeBfloat16: true);
        Assert.Equal(ProductPrecision.Bfloat16, Products(onAccelerated));
        var here = Products(RecipeResolution.Resolve(asked, null, hasNativeBfloat16: false));
        Assert.True(here is ProductPrecision.Fixed16 or ProductPrecision.Float32);
        // Another machine goes on with what the run folder says.
        Assert.Equal(ProductPrecision.Bfloat16, Products(RecipeResolution.Resolve(asked, onAccelerated, hasNativeBfloat16: false)));
        var stored = Recipe("{ kind: muon, products: fixed16 }");
        Assert.Equal(ProductPrecision.Fixed16, Products(RecipeResolution.Resolve(asked, stored, hasNativeBfloat16: true)));
        Assert.Empty(RecipeResolution.RequireSame(stored, RecipeResolution.Resolve(asked, stored, hasNativeBfloat16: true) with { Training = stored.Training }, "here"));
    }

    [Fact]
    public void What_a_recipe_states_stays()
    {
        Assert.Equal(ProductPrecision.Float32, Products(RecipeResolution.Resolve(Recipe("{ kind: muon, products: float32 }"), null, hasNativeBfloat16: true)));
        Assert.Equal("adamw", RecipeResolution.Resolve(Recipe("{ kind: adamw }"), Recipe("{ kind: muon }"), hasNativeBfloat16: true).Optimizer.Kind);
    }

    private static ProductPrecision Products(Recipe recipe) => ((MuonOptions)recipe.Optimizer.Options!).Products;

    private static Recipe Recipe(string optimizer) => new RecipeLoader(House.Components).Parse($$"""
        data: { sources: [{ path: corpus/austen }], tokenizer: { kind: bpe, vocabulary: 300 } }
        model: { kind: llama, layers: 1, width: 32, heads: 2, context: 16 }
        optimizer: {{optimizer}}
        evaluation: { tasks: [] }
        """, "test.yaml");
}
