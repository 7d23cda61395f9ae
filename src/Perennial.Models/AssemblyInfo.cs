using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("Perennial.Models.Tests")]
