using System.Text;
using Perennial.Core;
using Perennial.Evaluation.Tasks;
using Perennial.Training.HeldOut;

namespace Perennial.Evaluation.Tests;

public class TaskTests
{
    [Theory]
    [InlineData("", 0)]
    [InlineData("  \n", 0)]
    [InlineData("one", 1)]
    [InlineData(" one  two\nthree ", 3)]
    [InlineData("ü ß", 2)]
    public void Words_stand_between_white_space(string text, long count)
    {
        Assert.Equal(count, Words.CountIn(Encoding.UTF8.GetBytes(text)));
        Assert.Equal(count, Words.In(Encoding.UTF8.GetBytes(text).Select(b => (int)b).ToArray(), new ByteTokenizer()).Count());
    }

    [Fact]
    public void Every_task_can_be_named_in_a_recipe()
    {
        var kinds = typeof(BitsPerByteTask).Assembly.GetTypes().Where(type => type.IsAssignableTo(typeof(IEvaluationTask)))
            .Select(type => ((ComponentAttribute)Attribute.GetCustomAttribute(type, typeof(ComponentAttribute))!).Kind).Order(StringComparer.Ordinal);
        Assert.Equal(["activation-outliers", "answers", "bits-per-byte", "exercises", "next-word", "perplexity", "quantized-loss"], kinds);
    }
}
