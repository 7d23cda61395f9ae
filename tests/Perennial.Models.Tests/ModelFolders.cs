using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using Perennial.Models.HuggingFace;
using Perennial.Tensors;

namespace Perennial.Models.Tests;

/// <summary>A folder that vanishes with the test.</summary>
public sealed class ModelFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("perennial-folder-").FullName;

    public string File(string name) => System.IO.Path.Combine(Path, name);

    /// <summary>A copy of a fixture, to be spoilt.</summary>
    public static ModelFolder CopyOf(string fixture)
    {
        var folder = new ModelFolder();
        foreach (var file in Directory.GetFiles(Fixture(fixture))) System.IO.File.Copy(file, folder.File(System.IO.Path.GetFileName(file)));
        return folder;
    }

    public static string Fixture(string name, [CallerFilePath] string here = "") => System.IO.Path.Combine(System.IO.Path.GetDirectoryName(here)!, "Fixtures", name);

    public static Decoder Load(string folder)
    {
        TorchRuntime.Initialize();
        var config = ConfigJson.Read(folder);
        WeightFiles.Check(folder, config);
        var model = new Decoder(config);
        try
        {
            WeightFiles.Read(folder, config, model.Parameters.Layout, model.Parameters.Values);
        }
        catch
        {
            model.Dispose();
            throw;
        }
        model.ParametersChanged();
        return model;
    }

    public void Save(Decoder model)
    {
        WeightFiles.Write(model.Parameters.Layout, model.Parameters.Values, Path);
        ConfigJson.Write(model.Config, Path);
    }

    public void EditConfig(Action<JsonObject> edit)
    {
        var json = JsonNode.Parse(System.IO.File.ReadAllBytes(File("config.json")))!.AsObject();
        edit(json);
        System.IO.File.WriteAllText(File("config.json"), json.ToJsonString());
    }

    public static JsonElement Reference(string fixture)
    {
        using var json = JsonDocument.Parse(System.IO.File.ReadAllBytes(System.IO.Path.Combine(Fixture(fixture), "reference.json")));
        return json.RootElement.Clone();
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
