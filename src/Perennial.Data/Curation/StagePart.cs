using Perennial.Data.Accounting;

namespace Perennial.Data.Curation;

/// <summary>The result of taking one part through one segment: what its <c>.done</c> file holds.</summary>
/// <param name="Documents">Documents that are left.</param>
/// <param name="Checksum">XXH128 of the stage's file.</param>
/// <param name="Account">What happened in this segment.</param>
/// <param name="SmallestDraw">Smallest draw for the held-out split (of the part as it was read; 1 later).</param>
/// <param name="HeldOut">Documents read whose draw falls below the fraction.</param>
internal sealed record StagePart(long Documents, string Checksum, SourceAccount Account, double SmallestDraw, long HeldOut);
