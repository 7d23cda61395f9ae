using System.Globalization;
using Perennial.Core;

namespace Perennial.Resilience.Membership;

/// <summary>The usual variables by which launchers tell a process its place: the only reader of them.</summary>
/// <param name="Rank">RANK: this process, from 0.</param>
/// <param name="WorldSize">WORLD_SIZE: the number of processes.</param>
/// <param name="LocalRank">LOCAL_RANK: this process among those of its machine; RANK where it is not given.</param>
/// <param name="MasterAddress">MASTER_ADDR: the host of the store.</param>
/// <param name="MasterPort">MASTER_PORT: the port of the store.</param>
public sealed record RankEnvironment(int Rank, int WorldSize, int LocalRank, string MasterAddress, int MasterPort)
{
    /// <summary>Reads the variables; null where neither RANK nor WORLD_SIZE is set, which means one process alone.</summary>
    /// <param name="variable">Gives a variable's value or null; the process's environment by default.</param>
    /// <exception cref="PerennialException">Exit 2: a variable is missing or wrong; the message names it.</exception>
    public static RankEnvironment? Read(Func<string, string?>? variable = null)
    {
        variable ??= Environment.GetEnvironmentVariable;
        if (variable("RANK") is null && variable("WORLD_SIZE") is null) return null;
        var size = Number(variable, "WORLD_SIZE", 1, int.MaxValue);
        var rank = Number(variable, "RANK", 0, size - 1);
        var local = variable("LOCAL_RANK") is null ? rank : Number(variable, "LOCAL_RANK", 0, size - 1);
        var address = variable("MASTER_ADDR");
        if (string.IsNullOrWhiteSpace(address)) throw PerennialException.Usage("MASTER_ADDR is not set: with RANK and WORLD_SIZE it must name the host of rank 0");
        return new RankEnvironment(rank, size, local, address, Number(variable, "MASTER_PORT", 1, 65535));
    }

    private static int Number(Func<string, string?> variable, string name, int least, int greatest)
    {
        var text = variable(name) ?? throw PerennialException.Usage($"{name} is not set: RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT go together");
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var value) && value >= least && value <= greatest
            ? value
            : throw PerennialException.Usage($"{name}={text}: a whole number from {least} to {greatest} is expected");
    }
}
