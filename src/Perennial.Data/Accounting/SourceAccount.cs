namespace Perennial.Data.Accounting;

/// <summary>What reading one source gave and what every operator did with it.</summary>
public sealed class SourceAccount
{
    /// <summary>The recipe's path.</summary>
    public string Path { get; init; } = "";

    /// <summary>Files read.</summary>
    public long Files { get; set; }

    /// <summary>Their bytes on disk.</summary>
    public long FileBytes { get; set; }

    /// <summary>Documents read.</summary>
    public long Documents { get; set; }

    /// <summary>Their bytes of text.</summary>
    public long Bytes { get; set; }

    /// <summary>Records set aside, by reason.</summary>
    public SortedDictionary<string, long> Malformed { get; init; } = new(StringComparer.Ordinal);

    /// <summary>Files of which the rest was set aside.</summary>
    public long DamagedFiles { get; set; }

    /// <summary>The first malformed record, for a person.</summary>
    public string? FirstMalformed { get; set; }

    /// <summary>Documents left when all operators were through.</summary>
    public long KeptDocuments { get; set; }

    /// <summary>Their bytes of text.</summary>
    public long KeptBytes { get; set; }

    /// <summary>Processor seconds of reading.</summary>
    public double Seconds { get; set; }

    /// <summary>Every operator of the pipeline, in order.</summary>
    public List<OperatorAccount> Operators { get; init; } = [];

    /// <summary>Records set aside.</summary>
    public long MalformedRecords => Malformed.Values.Sum();

    /// <summary>Adds the account of another part of the source; parts are added in order.</summary>
    public void Add(SourceAccount other)
    {
        ArgumentNullException.ThrowIfNull(other);
        (Files, FileBytes, Documents, Bytes) = (Files + other.Files, FileBytes + other.FileBytes, Documents + other.Documents, Bytes + other.Bytes);
        (DamagedFiles, KeptDocuments, KeptBytes, Seconds) = (DamagedFiles + other.DamagedFiles, KeptDocuments + other.KeptDocuments, KeptBytes + other.KeptBytes, Seconds + other.Seconds);
        FirstMalformed ??= other.FirstMalformed;
        foreach (var (reason, count) in other.Malformed) Malformed[reason] = Malformed.GetValueOrDefault(reason) + count;
        for (var i = 0; i < other.Operators.Count; i++)
        {
            if (i == Operators.Count) Operators.Add(new OperatorAccount { Kind = other.Operators[i].Kind });
            Operators[i].Add(other.Operators[i]);
        }
    }

    /// <summary>Removed and malformed documents by what did it and why: <c>length: shorter than 25 bytes</c>.</summary>
    public SortedDictionary<string, long> Rejected()
    {
        var rejected = new SortedDictionary<string, long>(StringComparer.Ordinal);
        foreach (var (reason, count) in Malformed) rejected[$"malformed: {reason}"] = count;
        foreach (var operation in Operators)
        {
            foreach (var (reason, count) in operation.Removed)
            {
                var key = $"{operation.Kind}: {reason}";
                rejected[key] = rejected.GetValueOrDefault(key) + count;
            }
        }
        return rejected;
    }
}
