[assembly: System.Runtime.CompilerServices.InternalsVisibleTo("Perennial.Evaluation.Tests")]
