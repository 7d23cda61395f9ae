using Perennial.Core;
using Perennial.Data.Accounting;
using Perennial.Data.Preparation;

namespace Perennial.Data.Curation;

/// <summary>
/// Runs a pipeline over sources: stage after stage, each part a task that any thread of any process sharing the work folder may
/// do. The result depends on the sources, the pipeline and the seed alone.
/// </summary>
internal sealed class Curator
{
    private readonly CurationPlan plan;
    private readonly WorkFolder work;
    private readonly Pipeline pipeline;
    private readonly StageFiles files;
    private readonly Action<string>? notify;

    public Curator(CurationPlan plan, WorkFolder work, Action<string>? notify)
    {
        (this.plan, this.work, this.notify) = (plan, work, notify);
        pipeline = new Pipeline(plan);
        files = new StageFiles(work.Path);
        Parts = SourcePart.Plan(plan.Files);
        Rule = plan.Holdout;
    }

    public IReadOnlyList<SourcePart> Parts { get; }

    /// <summary>The held-out split; final once <see cref="Run"/> is through.</summary>
    public HoldoutRule Rule { get; private set; }

    /// <summary>The curated documents of a part.</summary>
    public string Documents(SourcePart part) => files.Documents(pipeline.Segments.Count - 1, part.Number);

    public StageFiles Files => files;

    public int Segments => pipeline.Segments.Count;

    /// <summary>Runs everything that is not done yet. Returns the account.</summary>
    /// <exception cref="PerennialException">Exit 2: no text, or no split. Exit 3: too much of a source is malformed.</exception>
    public DataAccount Run()
    {
        foreach (var segment in pipeline.Segments)
        {
            if (segment.Decides is { } decides)
            {
                notify?.Invoke($"{decides.Kind}: deciding");
                work.Once($"decide-{segment.Number}", () => Decide(segment));
            }
            else if (segment.Number == 0) notify?.Invoke($"reading {Parts.Sum(part => part.Files.Count)} files");
            var learned = new Lazy<bool>(() => Learn(segment));
            var stage = new SegmentWork(plan, pipeline, segment, files, Rule, work.Cancellation);
            work.Complete(Tasks(segment.Number), plan.Threads, i => learned.Value ? stage.Run(Parts[i]) : throw new InvalidOperationException());
            if (segment.Number == 0) Survey();
            else Clear(segment.Number - 1);
        }
        return Account();
    }

    private List<string> Tasks(int segment) => [.. Parts.Select(part => StageFiles.Task(segment, part.Number))];

    /// <summary>Counts what was read, and makes sure that neither side of the split is empty.</summary>
    private void Survey()
    {
        var stages = Parts.Select(part => work.Result<StagePart>(StageFiles.Task(0, part.Number))).ToList();
        for (var source = 0; source < plan.Sources.Count; source++)
        {
            var account = new SourceAccount();
            foreach (var part in Parts.Where(part => part.Source == source)) account.Add(stages[part.Number].Account);
            MalformedLimit(plan.Sources[source], account);
        }
        var (documents, heldOut, smallest) = (stages.Sum(stage => stage.Account.Documents), stages.Sum(stage => stage.HeldOut), stages.Select(stage => stage.SmallestDraw).Append(1).Min());
        if (documents == 0) throw PerennialException.Usage($"data: the sources hold no text ({string.Join(", ", plan.Sources.Select(source => source.Path))})");
        if (Rule.Fraction == 0) return;
        // A small corpus may have drawn nothing: then the document that drew lowest (and its copies) is held out.
        if (heldOut == 0 && documents > 1) (Rule, heldOut) = (Rule with { Fraction = Math.BitIncrement(smallest) }, 1);
        if (heldOut == 0 || heldOut == documents)
            throw PerennialException.Usage($"data: {documents} {(documents == 1 ? "document" : "documents")} cannot be split into training and held-out text; set data.holdout to 0, or split finer (split: paragraph)");
    }

    private void MalformedLimit(SourceOptions source, SourceAccount account)
    {
        var records = account.MalformedRecords;
        if (records == 0) return;
        var damaged = source.Malformed < 1 && account.DamagedFiles >= Math.Max(1, source.Malformed * account.Files);
        if (records >= source.Malformed * (account.Documents + records) || damaged)
            throw PerennialException.Damaged($"{account.FirstMalformed} ({records} of {account.Documents + records} records and {account.DamagedFiles} of {account.Files} files of '{source.Path}' are malformed; the limit is malformed: {source.Malformed})");
        notify?.Invoke($"{source.Path}: {records} malformed {(records == 1 ? "record" : "records")} set aside; the first: {account.FirstMalformed}");
    }

    private bool Learn(Segment segment)
    {
        if (!segment.Learns) return true;
        notify?.Invoke($"{segment.Steps[0].Kind}: learning");
        foreach (var part in Parts)
        {
            using var documents = new DocumentFile(files.Documents(segment.Number - 1, part.Number));
            foreach (var staged in documents.ReadAll())
            {
                work.Cancellation.ThrowIfCancellationRequested();
                if (staged.Draw >= Rule.Fraction) segment.Steps[0].PerSource[part.Source].Learn(staged.Document, staged.Index);
            }
        }
        return true;
    }

    private SortedDictionary<string, double> Decide(Segment segment)
    {
        var scratch = work.File($"scratch-{segment.Number}");
        if (Directory.Exists(scratch)) Directory.Delete(scratch, recursive: true);
        Directory.CreateDirectory(scratch);
        var documents = Parts.Sum(part => work.Result<StagePart>(StageFiles.Task(segment.Number - 1, part.Number)).Documents);
        using var corpus = new Corpus(Parts, files, segment.Number - 1, scratch, plan.Memory, work.Cancellation) { Documents = documents };
        using (var decisions = new DecisionWriter(files, segment.Number, Parts.Count))
        {
            segment.Corpus!.Decide(corpus, decisions);
            decisions.Complete();
        }
        Directory.Delete(scratch, recursive: true);
        return corpus.Notes;
    }

    /// <summary>What only the stage before needed goes: every one of its tasks and of this stage's is done.</summary>
    private void Clear(int segment)
    {
        foreach (var part in Parts)
        {
            foreach (var path in new[] { files.Documents(segment, part.Number), files.Sketches(segment, part.Number), files.Decisions(segment + 1, part.Number) }) File.Delete(path);
        }
    }

    private DataAccount Account()
    {
        var sources = plan.Sources.Select(source => new SourceAccount { Path = source.Path }).ToList();
        foreach (var part in Parts)
        {
            var account = sources[part.Source];
            for (var segment = 0; segment < pipeline.Segments.Count; segment++)
            {
                var stage = work.Result<StagePart>(StageFiles.Task(segment, part.Number)).Account;
                // Only the last stage's documents are kept in the end.
                if (segment + 1 < pipeline.Segments.Count) (stage.KeptDocuments, stage.KeptBytes) = (0, 0);
                account.Add(stage);
            }
        }
        foreach (var segment in pipeline.Segments.Where(segment => segment.Decides is not null))
        {
            var notes = work.Result<SortedDictionary<string, double>>($"decide-{segment.Number}");
            foreach (var account in sources.Where(account => account.Operators.Count > 0))
            {
                foreach (var (name, value) in notes) account.Operators[segment.Decides!.Number].Notes[name] = value;
            }
        }
        return new DataAccount(sources);
    }
}
