using System.Globalization;

namespace Perennial.Data.Selection;

/// <summary>
/// A formula over named numbers: <c>or and not</c>, comparisons, <c>+ - * /</c>, parentheses, <c>min max log exp sqrt abs</c>.
/// True is 1, false is 0.
/// </summary>
public sealed class Formula
{
    private readonly Func<Func<string, double>, double> root;

    private Formula(Func<Func<string, double>, double> root, IReadOnlySet<string> names) => (this.root, Names) = (root, names);

    /// <summary>Names it asks for.</summary>
    public IReadOnlySet<string> Names { get; }

    /// <summary>Its value.</summary>
    /// <param name="value">The number of a name.</param>
    public double Evaluate(Func<string, double> value) => root(value);

    /// <summary>Reads a formula.</summary>
    /// <param name="text">Its text.</param>
    /// <param name="problem">What is wrong, with the place; null when nothing is.</param>
    public static Formula? Parse(string text, out string? problem)
    {
        ArgumentNullException.ThrowIfNull(text);
        var parser = new Parser(text);
        try
        {
            var root = parser.Whole();
            problem = null;
            return new Formula(root, parser.Names);
        }
        catch (FormatException error)
        {
            problem = error.Message;
            return null;
        }
    }

    private sealed class Parser(string text)
    {
        private const int Deepest = 200;
        private int at, depth;

        public HashSet<string> Names { get; } = new(StringComparer.Ordinal);

        public Func<Func<string, double>, double> Whole()
        {
            var all = Or();
            Space();
            return at == text.Length ? all : throw Wrong($"'{text[at]}' was not expected");
        }

        private Func<Func<string, double>, double> Or()
        {
            var left = And();
            while (Word("or"))
            {
                var (one, other) = (left, And());
                left = value => one(value) != 0 || other(value) != 0 ? 1 : 0;
            }
            return left;
        }

        private Func<Func<string, double>, double> And()
        {
            var left = Not();
            while (Word("and"))
            {
                var (one, other) = (left, Not());
                left = value => one(value) != 0 && other(value) != 0 ? 1 : 0;
            }
            return left;
        }

        private Func<Func<string, double>, double> Not()
        {
            if (!Word("not")) return Comparison();
            var inner = Nested(Not);
            return value => inner(value) == 0 ? 1 : 0;
        }

        private Func<Func<string, double>, double> Comparison()
        {
            var left = Sum();
            foreach (var sign in new[] { "<=", ">=", "==", "!=", "<", ">" })
            {
                if (!Sign(sign)) continue;
                var right = Sum();
                return sign switch
                {
                    "<=" => value => left(value) <= right(value) ? 1 : 0,
                    ">=" => value => left(value) >= right(value) ? 1 : 0,
                    "==" => value => left(value) == right(value) ? 1 : 0,
                    "!=" => value => left(value) != right(value) ? 1 : 0,
                    "<" => value => left(value) < right(value) ? 1 : 0,
                    _ => value => left(value) > right(value) ? 1 : 0,
                };
            }
            return left;
        }

        private Func<Func<string, double>, double> Sum()
        {
            var left = Product();
            while (true)
            {
                var one = left;
                if (Sign("+")) { var other = Product(); left = value => one(value) + other(value); }
                else if (Sign("-")) { var other = Product(); left = value => one(value) - other(value); }
                else return left;
            }
        }

        private Func<Func<string, double>, double> Product()
        {
            var left = Factor();
            while (true)
            {
                var one = left;
                if (Sign("*")) { var other = Factor(); left = value => one(value) * other(value); }
                else if (Sign("/")) { var other = Factor(); left = value => one(value) / other(value); }
                else return left;
            }
        }

        private Func<Func<string, double>, double> Factor()
        {
            Space();
            if (Sign("-")) { var inner = Nested(Factor); return value => -inner(value); }
            if (Sign("("))
            {
                var inner = Nested(Or);
                return Sign(")") ? inner : throw Wrong("a ')' is missing");
            }
            var start = at;
            if (at < text.Length && (char.IsAsciiDigit(text[at]) || text[at] == '.'))
            {
                while (at < text.Length && (char.IsAsciiLetterOrDigit(text[at]) || text[at] == '.' || (text[at] is '-' or '+' && text[at - 1] is 'e' or 'E'))) at++;
                return double.TryParse(text.AsSpan(start, at - start), NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? _ => number : throw Wrong($"'{text[start..at]}' is not a number");
            }
            // Names may hold hyphens, as those of scores do; a minus sign therefore needs a space before it.
            while (at < text.Length && (char.IsAsciiLetterOrDigit(text[at]) || text[at] is '_' or '-')) at++;
            if (at == start) throw Wrong(at < text.Length ? $"'{text[at]}' was not expected" : "something is missing at the end");
            var name = text[start..at];
            if (!Sign("("))
            {
                Names.Add(name);
                return value => value(name);
            }
            var arguments = new List<Func<Func<string, double>, double>> { Nested(Or) };
            while (Sign(",")) arguments.Add(Nested(Or));
            if (!Sign(")")) throw Wrong("a ')' is missing");
            return Call(name, arguments);
        }

        private Func<Func<string, double>, double> Call(string name, List<Func<Func<string, double>, double>> arguments)
        {
            var first = arguments[0];
            return (name, arguments.Count) switch
            {
                ("min", _) => value => arguments.Min(argument => argument(value)),
                ("max", _) => value => arguments.Max(argument => argument(value)),
                ("log", 1) => value => Math.Log(first(value)),
                ("exp", 1) => value => Math.Exp(first(value)),
                ("sqrt", 1) => value => Math.Sqrt(first(value)),
                ("abs", 1) => value => Math.Abs(first(value)),
                _ => throw Wrong($"there is no function '{name}' of {arguments.Count} values; known: min max log exp sqrt abs"),
            };
        }

        private T Nested<T>(Func<T> parse)
        {
            if (++depth > Deepest) throw Wrong("is nested too deeply");
            var result = parse();
            depth--;
            return result;
        }

        private void Space()
        {
            while (at < text.Length && char.IsWhiteSpace(text[at])) at++;
        }

        private bool Sign(string sign)
        {
            Space();
            if (!text.AsSpan(at).StartsWith(sign, StringComparison.Ordinal)) return false;
            at += sign.Length;
            return true;
        }

        private bool Word(string word)
        {
            Space();
            if (!text.AsSpan(at).StartsWith(word, StringComparison.Ordinal)) return false;
            var end = at + word.Length;
            if (end < text.Length && (char.IsAsciiLetterOrDigit(text[end]) || text[end] is '_' or '-')) return false;
            at = end;
            return true;
        }

        private FormatException Wrong(string what) => new($"{what} (character {Math.Min(at + 1, text.Length)} of '{text}')");
    }
}
