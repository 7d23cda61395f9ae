using Perennial.Core;
using Perennial.Resilience.Membership;

namespace Perennial.Resilience.Tests.Membership;

public sealed class RankEnvironmentTests
{
    private static RankEnvironment? Read(string text) => RankEnvironment.Read(text.Split(' ', StringSplitOptions.RemoveEmptyEntries)
        .Select(pair => pair.Split('=')).ToDictionary(pair => pair[0], pair => pair[1]).GetValueOrDefault);

    [Fact]
    public void Nothing_set_is_one_process_alone() => Assert.Null(Read("MASTER_PORT=1"));

    [Fact]
    public void The_usual_variables_are_read()
    {
        Assert.Equal(new RankEnvironment(3, 8, 1, "node0", 29500), Read("RANK=3 WORLD_SIZE=8 LOCAL_RANK=1 MASTER_ADDR=node0 MASTER_PORT=29500"));
        Assert.Equal(3, Read("RANK=3 WORLD_SIZE=8 MASTER_ADDR=node0 MASTER_PORT=29500")!.LocalRank);
    }

    [Theory]
    [InlineData("RANK=0", "WORLD_SIZE is not set")]
    [InlineData("WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=1", "RANK is not set")]
    [InlineData("RANK=2 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=1", "RANK=2: a whole number from 0 to 1")]
    [InlineData("RANK=x WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=1", "RANK=x")]
    [InlineData("RANK=0 WORLD_SIZE=0 MASTER_ADDR=a MASTER_PORT=1", "WORLD_SIZE=0")]
    [InlineData("RANK=0 WORLD_SIZE=2 LOCAL_RANK=-1 MASTER_ADDR=a MASTER_PORT=1", "LOCAL_RANK=-1")]
    [InlineData("RANK=0 WORLD_SIZE=2 MASTER_PORT=1", "MASTER_ADDR is not set")]
    [InlineData("RANK=0 WORLD_SIZE=2 MASTER_ADDR=a", "MASTER_PORT is not set")]
    [InlineData("RANK=0 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=70000", "MASTER_PORT=70000")]
    public void Errors_name_the_variable(string text, string message)
    {
        var error = Assert.Throws<PerennialException>(() => Read(text));
        Assert.Equal(ExitCode.Usage, error.Code);
        Assert.Contains(message, error.Message);
    }
}
