using Perennial.Data.Preparation;

namespace Perennial.Training.HeldOut;

/// <summary>The held-out documents of prepared data, as text to be scored.</summary>
public static class HeldOutDocuments
{
    /// <summary>The documents without their end-of-text tokens; null when nothing is held out.</summary>
    public static EvaluationText? Of(PreparedData data)
    {
        ArgumentNullException.ThrowIfNull(data);
        var documents = new List<ReadOnlyMemory<int>>();
        foreach (var shard in data.HeldOut)
        {
            for (var document = 0L; document < shard.Documents; document++)
            {
                // The end-of-text token at a document's end is not text.
                var ids = new long[shard.DocumentStart(document + 1) - shard.DocumentStart(document) - 1];
                shard.Read(shard.DocumentStart(document), ids);
                if (ids.Length > 0) documents.Add(Array.ConvertAll(ids, id => (int)id));
            }
        }
        return documents.Count == 0 ? null : new EvaluationText { Name = "held-out", Documents = documents, Bytes = data.HeldOut.Sum(shard => shard.TextBytes), Tokenizer = data.Tokenizer };
    }
}
