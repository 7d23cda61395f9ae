using System.Text;
using CsCheck;
using Perennial.Data.Filters;
using Perennial.Data.Normalizing;

namespace Perennial.Data.Tests;

public class OperatorTests
{
    internal static Document Doc(string text, params (string Name, string Value)[] fields) => new(Encoding.UTF8.GetBytes(text), new Provenance("x", 0, 1)) { Fields = fields.ToDictionary(field => field.Name, field => field.Value) };

    internal static string? Run(IFilter filter, string text) => filter.Apply(Doc(text), 0).Document is { } kept ? Encoding.UTF8.GetString(kept.Text.Span) : null;

    internal static string Reason(IFilter filter, string text) => filter.Apply(Doc(text), 0).Reason ?? "kept";

    [Theory]
    [InlineData("cafe\u0301", "café")]
    [InlineData("\u1100\u1161\u11A8", "각")]
    [InlineData("a\u0323\u0307", "ạ\u0307")]
    [InlineData("a\u0307\u0323", "ạ\u0307")]
    [InlineData("\u212B", "Å")]
    [InlineData("plain", "plain")]
    [InlineData("a\u0000b\u200Bc\uFEFFd\u0085e", "abcde")]
    [InlineData("ü日本“quoted”…", "ü日本“quoted”…")]
    public void Unicode_is_composed_and_controls_go(string text, string expected) => Assert.Equal(expected, Run(new UnicodeNormalizer(), text));

    [Theory]
    [InlineData("cafÃ© donâ€™t â€œquoteâ€\u009d", "café don’t “quote”")]
    [InlineData("naÃ¯ve rÃ©sumÃ©", "naïve résumé")]
    [InlineData("cafÃƒÂ©", "café")]
    [InlineData("ÐŸÑ€Ð¸Ð²ÐµÑ‚", "Привет")]
    [InlineData("Château Ålesund São Paulo Ñandú", "Château Ålesund São Paulo Ñandú")]
    [InlineData("MÃ¼nchen", "München")]
    public void Mojibake_is_repaired_and_real_letters_stay(string text, string expected) => Assert.Equal(expected, Run(new MojibakeRepair(), text));

    [Theory]
    [InlineData("  a  b\t c \r\n\r\n\r\n\r\nd \n", "a b c\n\nd")]
    [InlineData("a\u00A0b\u3000c", "a b c")]
    [InlineData("a\n b", "a\nb")]
    public void White_space_is_made_plain(string text, string expected) => Assert.Equal(expected, Run(new WhitespaceNormalizer(new()), text));

    [Fact]
    public void Normalizers_do_nothing_twice()
    {
        var filters = new IFilter[] { new UnicodeNormalizer(), new WhitespaceNormalizer(new()), new BoilerplateRemoval(new()), new PersonalDataMask(new()) };
        Gen.String[Gen.Char["ab \n\t\r.é\u0301\u00A0@1-+("], 0, 60].Sample(text =>
        {
            foreach (var filter in filters)
            {
                if (Run(filter, text) is { } once) Assert.Equal(once, Run(filter, once));
            }
        }, iter: 2000);
    }

    [Fact]
    public void Phrases_are_found_as_by_looking_for_each()
    {
        string[] phrases = ["abcabca", "bcabcabb", "cccabcab", "aabbccaa b"];
        var (loose, whole, brief) = (new Text.PhraseSet(phrases, false), new Text.PhraseSet(phrases, true), new Text.PhraseSet(["ab", "ca", "cab", "b"], false));
        Gen.String[Gen.Char["abcABC "], 0, 120].Sample(text =>
        {
            var bytes = Encoding.UTF8.GetBytes(text);
            Assert.Equal(phrases.Any(phrase => text.Contains(phrase, StringComparison.OrdinalIgnoreCase)), loose.IsIn(bytes));
            Assert.Equal(new[] { "ab", "ca", "cab", "b" }.Any(phrase => text.Contains(phrase, StringComparison.OrdinalIgnoreCase)), brief.IsIn(bytes));
            Assert.Equal(phrases.Any(phrase => (" " + text + " ").Contains(" " + phrase + " ", StringComparison.OrdinalIgnoreCase)), whole.IsIn(bytes));
        }, iter: 5000);
    }

    [Theory]
    [InlineData("write to jane.doe+news@example.co.uk.", "write to <EMAIL>.")]
    [InlineData("host 192.168.10.254:8080 up", "host <IP>:8080 up")]
    [InlineData("at 2001:db8:85a3::8a2e:370:7334,", "at <IP>,")]
    [InlineData("card 4111 1111 1111 1111!", "card <CARD>!")]
    [InlineData("card 5500-0000-0000-0004.", "card <CARD>.")]
    [InlineData("card 378282246310005", "card <CARD>")]
    [InlineData("call +1 (415) 555-2671 now", "call <PHONE> now")]
    [InlineData("call (415) 555-2671.", "call <PHONE>.")]
    [InlineData("call 415-555-2671.", "call <PHONE>.")]
    [InlineData("call 415.555.2671.", "call <PHONE>.")]
    [InlineData("call +44 20 7946 0958", "call <PHONE>")]
    [InlineData("call +14155552671", "call <PHONE>")]
    [InlineData("ruf 030 1234567 an", "ruf <PHONE> an")]
    [InlineData("on 2011-05-12 at 12:30:45, 1990-2005", "on 2011-05-12 at 12:30:45, 1990-2005")]
    [InlineData("version 1.2.3, $1,234,567.89, 100 000 000 people, 4111 1111 1111 1112", "version 1.2.3, $1,234,567.89, 100 000 000 people, 4111 1111 1111 1112")]
    [InlineData("ISBN 978-0-306-40615-7, @home, a@b", "ISBN 978-0-306-40615-7, @home, a@b")]
    public void Personal_data_is_masked_by_kind(string text, string expected) => Assert.Equal(expected, Run(new PersonalDataMask(new()), text));

    private static string Prose(int sentences) => string.Join(' ', Enumerable.Range(0, sentences).Select(i => $"The {Word(i)} and the {Word(i * 7 + 3)} were with them in that old house of {Word(i * 13 + 5)} until {Word(i * 5 + 1)} came."));

    private static string Word(int i) => string.Concat("ka lo mi re ton vel sur pan dor bel".Split(' ').Select((part, j) => (i >> j & 1) == 1 ? part : "")) + "ed";

    [Fact]
    public void Gopher_rules_give_their_reasons()
    {
        var quality = new GopherQuality(new());
        Assert.Equal("kept", Reason(quality, Prose(12)));
        Assert.Equal("fewer than 50 words", Reason(quality, "too short"));
        Assert.Equal("too few stop words", Reason(quality, string.Join(' ', Enumerable.Range(0, 80).Select(i => $"zebra{(char)('a' + i % 26)}"))));
        Assert.Equal("too few words with letters", Reason(quality, Prose(6) + string.Concat(Enumerable.Repeat(" 1234", 60))));
        Assert.Equal("too many hashes", Reason(quality, Prose(6) + string.Concat(Enumerable.Repeat(" #", 60))));
        Assert.Equal("too many bullets", Reason(quality, string.Join('\n', Enumerable.Range(0, 20).Select(i => $"- the {Word(i)} and the thing that we have"))));
        var repetition = new GopherRepetition(new());
        var novel = File.ReadAllText(Directory.GetFiles(Corpus.Folder, "*.txt").Order(StringComparer.Ordinal).First())[20_000..24_000];
        Assert.Equal("kept", Reason(repetition, novel));
        Assert.Equal("repeated lines", Reason(repetition, string.Join('\n', Enumerable.Range(0, 20).Select(i => $"line {Word(i % 5)} {Word(i % 5 + 1)}"))));
        Assert.StartsWith("most frequent", Reason(repetition, string.Concat(Enumerable.Repeat("buy now ", 60))), StringComparison.Ordinal);
        var phrase = string.Join(' ', Enumerable.Range(0, 12).Select(Word));
        Assert.StartsWith("repeated ", Reason(repetition, novel[..600] + " " + phrase + " and " + phrase + " or " + phrase), StringComparison.Ordinal);
    }

    [Fact]
    public void C4_drops_lines_and_pages()
    {
        var filter = new C4Quality(new());
        Assert.Equal("One is here.\nTwo is here now.\nThree is here.\nFour is here.\nFive is here.", Run(filter, "Home | About\nOne is here.\n\nTwo is here now.\nThree is here.\nFour is here.\nPlease enable Javascript to see.\nFive is here."));
        Assert.Equal("curly bracket", Reason(filter, "function() { }"));
        Assert.Equal("lorem ipsum", Reason(filter, "Lorem ipsum dolor sit amet."));
        Assert.Equal("fewer than 5 sentences", Reason(filter, "Only one sentence here."));
    }

    [Fact]
    public void Fineweb_rules_give_their_reasons()
    {
        var filter = new FineWebQuality(new());
        Assert.Equal("kept", Reason(filter, Prose(10)));
        Assert.Equal("too few lines end in punctuation", Reason(filter, string.Join('\n', Enumerable.Range(0, 10).Select(i => $"a fairly long line of text about {Word(i)} without an end"))));
        Assert.Equal("too many short lines", Reason(filter, string.Join('\n', Enumerable.Range(0, 10).Select(i => $"short {Word(i)}."))));
        Assert.Equal("bytes in repeated lines", Reason(filter, string.Join('\n', Enumerable.Repeat("this very line is long enough to count and ends well.", 4))));
    }

    [Theory]
    [InlineData("en", "It is a truth universally acknowledged that a single man in possession of a good fortune must be in want of a wife.")]
    [InlineData("de", "Es war einmal ein König, der hatte eine Tochter, die war so schön, dass die Sonne selbst sich verwunderte, sooft sie ihr ins Gesicht schien.")]
    [InlineData("fr", "Longtemps, je me suis couché de bonne heure. Parfois, à peine ma bougie éteinte, mes yeux se fermaient si vite que je n'avais pas le temps.")]
    [InlineData("es", "En un lugar de la Mancha, de cuyo nombre no quiero acordarme, no ha mucho tiempo que vivía un hidalgo de los de lanza en astillero.")]
    [InlineData("ru", "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему.")]
    [InlineData("ja", "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。")]
    public void Languages_are_told_apart(string language, string text)
    {
        var (found, probability) = LanguageProfiles.Default.Identify(Encoding.UTF8.GetBytes(text));
        Assert.Equal(language, found);
        Assert.InRange(probability, 0.65, 1);
    }

    [Fact]
    public void Dates_addresses_and_words_are_filtered()
    {
        var dates = new DateRange(new() { From = "1990", Until = "2000-06" });
        Assert.Null(dates.Apply(Doc("x", ("date", "1995-03-01T12:00:00Z")), 0).Reason);
        Assert.Equal("published before 1990", dates.Apply(Doc("x", ("date", "1989-12-31")), 0).Reason);
        Assert.Equal("published after 2000-06", dates.Apply(Doc("x", ("date", "2000")), 0).Reason);
        Assert.Equal("no published date", dates.Apply(Doc("x"), 0).Reason);
        Assert.Null(new DateRange(new() { Field = "heading", Until = "1800" }).Apply(Doc("### 1792\nFellow citizens"), 0).Reason);
        var urls = new UrlFilter(new() { Domains = ["bad.example"], Words = ["casino"] });
        Assert.Equal("blocked domain", urls.Apply(Doc("x", ("url", "https://user@www.bad.example:80/a")), 0).Reason);
        Assert.Equal("blocked word in the address", urls.Apply(Doc("x", ("url", "http://a.org/best-Casino/")), 0).Reason);
        Assert.Null(urls.Apply(Doc("x", ("url", "http://notbad.example.org/casinos")), 0).Reason);
        var words = new BlockedWords(new() { Words = ["foul thing", "zork"] });
        Assert.Equal("blocked words", Reason(words, "a Foul Thing here"));
        Assert.Equal("kept", Reason(words, "zorks and foul things are whole words"));
        Assert.Equal("clean\nlast", Run(new BlockedWords(new() { Words = ["zork"], Lines = true }), "clean\na zork\nlast"));
    }

    [Fact]
    public void An_ngram_model_is_a_distribution_and_knows_its_text()
    {
        ReadOnlyMemory<byte>[] texts = [.. Enumerable.Range(0, 200).Select(i => (ReadOnlyMemory<byte>)Encoding.UTF8.GetBytes(Prose(3 + i % 5)))];
        var model = NgramModel.Train(texts, 3);
        Assert.True(model.Perplexity(texts[3].Span) < 20);
        Assert.True(model.Perplexity("when came until old that in them with were"u8) > 3 * model.Perplexity(texts[3].Span));
        // Over all words (and the unknown one) the probabilities of what comes next sum to one: trained on a small alphabet of words.
        ReadOnlyMemory<byte>[] small = [.. Enumerable.Range(0, 50).Select(i => (ReadOnlyMemory<byte>)Encoding.UTF8.GetBytes(string.Join(' ', Enumerable.Range(0, 20).Select(j => "abcd"[(i * j + j * j) % 4]))))];
        var tiny = NgramModel.Train(small, 3);
        var sum = new[] { "a", "b", "c", "d", "unknown" }.Sum(next => Math.Exp(-(tiny.Entropy(Encoding.UTF8.GetBytes("a b " + next)) * 3 - tiny.Entropy("a b"u8) * 2)));
        Assert.Equal(1, sum, 6);
    }

    [Fact]
    public void A_classifier_separates_and_survives_its_file()
    {
        ReadOnlyMemory<byte>[] Texts(string topic) => [.. Enumerable.Range(0, 60).Select(i => (ReadOnlyMemory<byte>)Encoding.UTF8.GetBytes($"{Prose(2)} the {topic}{i % 7} was {topic} {Word(i)}"))];
        var model = LinearClassifier.Train(Texts("garden"), Texts("engine"));
        Assert.True(model.Score("in the garden it was garden3 weather"u8) > 0.7);
        Assert.True(model.Score("the engine was engine2 again"u8) < 0.3);
        using var folder = new TemporaryFolder();
        var path = Path.Combine(folder.Path, "model");
        model.Save(path);
        Assert.Equal(model.Score("the engine was here"u8), LinearClassifier.Load(path).Score("the engine was here"u8));
    }
}
