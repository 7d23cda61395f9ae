using Perennial.Core;
using Perennial.Data.Preparation;
using Perennial.Resilience.Groups;
using Perennial.Tensors;

namespace Perennial.Cli.Doctor;

/// <summary>Looks the machine over.</summary>
internal static class Examination
{
    public static Diagnosis Run()
    {
        TorchReport torch;
        try
        {
            torch = TorchRuntime.Describe();
        }
        catch (PerennialException missing) when (missing.Code == ExitCode.Missing)
        {
            return MachineDiagnosis.Without(missing.Message);
        }
        Directory.CreateDirectory(DataPreparation.DefaultCache);
        return MachineDiagnosis.Of(torch, MachineProbe.Measure(new MachineProbeOptions { Quick = true, Folder = DataPreparation.DefaultCache }), FindXz(), GlooLibrary.WhyMissing());
    }

    private static string? FindXz() => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
        .Where(folder => folder.Length > 0).Select(folder => Path.Combine(folder, OperatingSystem.IsWindows() ? "xz.exe" : "xz")).FirstOrDefault(File.Exists);
}
