using System.Text.Json;
using Perennial.Core;
using Perennial.Evaluation.Events;
using Perennial.Training;

namespace Perennial.Evaluation.Continual;

/// <summary>Keeps <c>forgetting.json</c> of a run of stages: the matrix as it stands after every finished stage.</summary>
public sealed class ForgettingFile(Action<string>? warn = null) : IRunObserver
{
    /// <summary>The file's name in a run folder.</summary>
    public const string Name = "forgetting.json";

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };
    private readonly List<StageMeasured> measured = [];
    private string? folder;

    /// <inheritdoc/>
    public void Observe(RunEvent happened)
    {
        switch (happened)
        {
            case RunStarted e:
                folder = e.RunFolder;
                measured.Clear();
                if (e.StartStep > 0) measured.AddRange(RunHistory.Load(e.RunFolder).StageTexts.Where(known => known.Step <= e.StartStep));
                break;
            case StageMeasured e:
                measured.RemoveAll(known => known.Step == e.Step && known.Stage == e.Stage && known.IsEnd == e.IsEnd && known.Weights == e.Weights);
                measured.Add(e);
                break;
            case StageFinished or RunFinished when folder is not null && ForgettingMatrix.Of(measured) is { } matrix:
                try
                {
                    AtomicFile.WriteText(Path.Combine(folder, Name), matrix.ToJson().ToJsonString(Indented) + "\n");
                }
                catch (Exception thrown) when (FileErrors.Is(thrown))
                {
                    warn?.Invoke($"{Name} could not be written: {thrown.Message}");
                }
                break;
        }
    }
}
