using System.IO.Compression;
using System.Net;
using System.Text;
using CsCheck;
using Perennial.Core;
using Perennial.Data.Sources;

namespace Perennial.Data.Tests;

public class ReaderTests
{
    private static readonly string[] Endings = [".txt", ".jsonl", ".csv", ".html", ".warc", ".wet", ".parquet", ".jsonl.gz", ".txt.zst", ".warc.gz", ".csv.xz", ".parquet.gz"];

    private static (List<Document> Documents, List<MalformedRecord> Malformed) Read(string path, string field = "text")
    {
        var malformed = new List<MalformedRecord>();
        var documents = DocumentSource.ReadFile(path, path, new SourceOptions { Path = path, Field = field }, malformed.Add).ToBlockingEnumerable().ToList();
        return (documents, malformed);
    }

    private static string Text(Document document) => Encoding.UTF8.GetString(document.Text.Span);

    internal static byte[] Warc(params (string Type, string Headers, string Body)[] records)
    {
        using var file = new MemoryStream();
        foreach (var (type, headers, body) in records)
        {
            var bytes = Encoding.UTF8.GetBytes(body);
            file.Write(Encoding.UTF8.GetBytes($"WARC/1.0\r\nWARC-Type: {type}\r\n{headers}Content-Length: {bytes.Length}\r\n\r\n"));
            file.Write(bytes);
            file.Write("\r\n\r\n"u8);
        }
        return file.ToArray();
    }

    private const string Page = "<html><head><title>A title</title><script>var x = 1;</script></head><body><nav><a href=1>Home</a> <a href=2>About</a></nav><h1>Heading</h1><p>First   paragraph with a <a href=x>link</a> in it.</p><ul><li>one</li><li>two</li></ul><pre>code {\n  x;\n}</pre><table><tr><td>a</td><td>b</td></tr></table><div><a href=1>Next page</a> | <a href=2>Previous page</a></div><footer>All rights</footer></body></html>";

    [Fact]
    public void A_page_gives_its_main_text()
    {
        using var folder = new TemporaryFolder();
        var (documents, _) = Read(folder.Write("a.html", Page));
        Assert.Equal("A title\n\nHeading\n\nFirst paragraph with a link in it.\n\n- one\n- two\n\ncode {\n  x;\n}\n\na b", Text(Assert.Single(documents)));
    }

    [Fact]
    public void Deep_and_broken_pages_are_read()
    {
        var deep = string.Concat(Enumerable.Repeat("<div><b><i>", 3000)) + "deep text";
        Assert.Equal("deep text", HtmlText.Extract(deep));
        Assert.Equal("café", HtmlText.Extract(HtmlText.Decode([0x63, 0x61, 0x66, 0xE9], "text/html; charset=iso-8859-1")));
    }

    [Fact]
    public void Archives_give_pages_and_text_and_set_broken_records_aside()
    {
        using var folder = new TemporaryFolder();
        var good = Warc(("warcinfo", "", "software: x"), ("response", "WARC-Target-URI: http://a.org/x\r\nWARC-Date: 2019-05-01T00:00:00Z\r\n", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + Page), ("response", "", "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\ngone"));
        var text = Warc(("conversion", "WARC-Target-URI: http://b.org/\r\n", "Plain text of a page."));
        byte[] broken = [.. good, .. "nonsense between records\r\n"u8, .. text, .. Encoding.UTF8.GetBytes("WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: 500\r\n\r\ntoo short")];
        var (documents, malformed) = Read(folder.Write("a.warc", broken));
        Assert.Equal(2, documents.Count);
        Assert.Equal(("http://a.org/x", "2019-05-01T00:00:00Z"), (documents[0].Fields["url"], documents[0].Fields["date"]));
        Assert.Equal("Plain text of a page.", Text(documents[1]));
        Assert.Equal(["broken record header", "truncated record"], malformed.Select(record => record.Reason));
        Assert.Equal(good.Length, malformed[0].Offset);
        Assert.Equal("WARC/1.0", Encoding.UTF8.GetString(broken.AsSpan((int)documents[1].Origin.Offset, 8)));
        using var memory = new MemoryStream();
        // A member for each record, as crawlers write them.
        foreach (var member in new[] { good, text })
        {
            using var zip = new GZipStream(memory, CompressionLevel.Fastest, leaveOpen: true);
            zip.Write(member);
        }
        Assert.Equal(2, Read(folder.Write("b.warc.gz", memory.ToArray())).Documents.Count);
    }

    [Fact]
    public void Tables_are_read_with_quotes_and_their_ranges()
    {
        using var folder = new TemporaryFolder();
        var table = "id,text,score\n1,\"one, with \"\"quotes\"\"\nand a line\",0.5\n2,plain é,x\r\n\n3,\"last\",2";
        var path = folder.Write("a.csv", table);
        var (documents, malformed) = Read(path);
        Assert.Empty(malformed);
        Assert.Equal(["one, with \"quotes\"\nand a line", "plain é", "last"], documents.Select(Text));
        Assert.Equal((0.5, "x"), (documents[0].Scores["score"], documents[1].Fields["score"]));
        var bytes = Encoding.UTF8.GetBytes(table);
        Assert.StartsWith("2,plain", Encoding.UTF8.GetString(bytes.AsSpan((int)documents[1].Origin.Offset)), StringComparison.Ordinal);
        Assert.Equal([2L, 4, 6], documents.Select(document => document.Origin.Line));
        Assert.Equal(["a\tb"], Read(folder.Write("b.tsv", "text\tn\n\"a\tb\"\t1\n")).Documents.Select(Text));
    }

    [Fact]
    public void Offsets_lead_back_to_the_text()
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("a.txt", "\uFEFF" + string.Join("\n\n\n", Enumerable.Range(0, 40).Select(i => $"Paragraph é {i}")));
        var bytes = File.ReadAllBytes(path);
        var documents = DocumentSource.ReadFile(path, path, new SourceOptions { Path = path, Split = TextSplit.Paragraph }, _ => Assert.Fail("malformed")).ToBlockingEnumerable().ToList();
        Assert.Equal(40, documents.Count);
        foreach (var document in documents) Assert.True(bytes.AsSpan((int)document.Origin.Offset, (int)document.Origin.Bytes).SequenceEqual(document.Text.Span));
    }

    [Fact]
    public void Xz_is_read_and_its_damage_told()
    {
        using var folder = new TemporaryFolder();
        // `printf 'text of an xz file\n' | xz -9`.
        var packed = Convert.FromBase64String("/Td6WFoAAATm1rRGAgAhARwAAAAQz1jMAQASdGV4dCBvZiBhbiB4eiBmaWxlCgAA6pKM4/YjL6gAASsTnAlI0h+2830BAAAAAARZWg==");
        var path = folder.Write("a.txt.xz", packed);
        Assert.Equal("text of an xz file\n", Text(Assert.Single(Read(path).Documents)));
        Assert.True(Assert.Single(Read(folder.Write("b.txt.xz", packed[..36])).Malformed).EndsFile);
    }

    [Fact]
    public async Task Remote_files_are_fetched_once()
    {
        using var folder = new TemporaryFolder();
        using var server = new HttpListener();
        var port = 20_000 + Random.Shared.Next(20_000);
        server.Prefixes.Add($"http://127.0.0.1:{port}/");
        server.Start();
        var served = 0;
        var serving = Task.Run(async () =>
        {
            while (server.IsListening)
            {
                HttpListenerContext call;
                try { call = await server.GetContextAsync(); }
                catch (Exception error) when (error is HttpListenerException or ObjectDisposedException) { return; }
                call.Response.Headers["ETag"] = "\"v1\"";
                if (call.Request.Headers["If-None-Match"] == "\"v1\"") call.Response.StatusCode = 304;
                else if (call.Request.Url!.AbsolutePath == "/a.txt")
                {
                    Interlocked.Increment(ref served);
                    call.Response.OutputStream.Write("text from afar"u8);
                }
                else call.Response.StatusCode = 404;
                call.Response.Close();
            }
        });
        for (var i = 0; i < 2; i++)
        {
            var file = Assert.Single(SourceFiles.Locate($"http://127.0.0.1:{port}/a.txt", folder.Path));
            Assert.Equal("text from afar", File.ReadAllText(file.Path));
            Assert.Equal($"http://127.0.0.1:{port}/a.txt", file.Name);
        }
        Assert.Equal(1, served);
        Assert.Contains("404", Assert.Throws<PerennialException>(() => SourceFiles.Locate($"http://127.0.0.1:{port}/b.txt", folder.Path)).Message, StringComparison.Ordinal);
        server.Stop();
        await serving;
    }

    [Fact]
    public async Task Objects_below_a_prefix_are_fetched_by_the_protocol_of_s3()
    {
        using var folder = new TemporaryFolder();
        using var server = new HttpListener();
        var port = 20_000 + Random.Shared.Next(20_000);
        server.Prefixes.Add($"http://127.0.0.1:{port}/");
        server.Start();
        var serving = Task.Run(async () =>
        {
            while (server.IsListening)
            {
                HttpListenerContext call;
                try { call = await server.GetContextAsync(); }
                catch (Exception error) when (error is HttpListenerException or ObjectDisposedException) { return; }
                var isList = call.Request.Url!.Query.Contains("list-type=2", StringComparison.Ordinal);
                var body = isList
                    ? "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name><KeyCount>3</KeyCount><IsTruncated>false</IsTruncated>" + string.Concat(new[] { "p/b.txt", "p/a.txt", "p/skip.bin" }.Select(key => $"<Contents><Key>{key}</Key><ETag>&quot;d41d8cd98f00b204e9800998ecf8427e-1&quot;</ETag><Size>7</Size><LastModified>2020-01-01T00:00:00.000Z</LastModified></Contents>")) + "</ListBucketResult>"
                    : "text " + Path.GetFileNameWithoutExtension(call.Request.Url.AbsolutePath) + ".";
                call.Response.ContentType = isList ? "application/xml" : "text/plain";
                call.Response.Headers["ETag"] = "\"d41d8cd98f00b204e9800998ecf8427e-1\"";
                var bytes = Encoding.UTF8.GetBytes(body);
                call.Response.ContentLength64 = bytes.Length;
                call.Response.OutputStream.Write(bytes);
                call.Response.Close();
            }
        });
        foreach (var (name, value) in new[] { ("AWS_ENDPOINT_URL", $"http://127.0.0.1:{port}"), ("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_REGION", "us-east-1") }) Environment.SetEnvironmentVariable(name, value);
        var files = SourceFiles.Locate("s3://b/p/", folder.Path);
        Assert.Equal([("s3://b/p/a.txt", "text a."), ("s3://b/p/b.txt", "text b.")], files.Select(file => (file.Name, File.ReadAllText(file.Path))));
        server.Stop();
        await serving;
    }

    [Fact]
    public void A_parquet_footer_that_counts_more_than_it_holds_is_refused_at_once()
    {
        using var folder = new TemporaryFolder();
        // A list of 2^31 - 1 truth values, which take no bytes.
        byte[] footer = [0x19, 0xF1, 0xFF, 0xFF, 0xFF, 0xFF, 0x07, 0x00];
        var path = folder.Write("bomb.parquet", [.. "PAR1"u8, .. footer, (byte)footer.Length, 0, 0, 0, .. "PAR1"u8]);
        var (documents, malformed) = Read(path);
        Assert.Empty(documents);
        Assert.Contains("2147483647 elements", Assert.Single(malformed).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Random_bytes_never_break_a_reader() => Fuzz(TimeSpan.FromSeconds(3));

    // Ten minutes: PERENNIAL_FUZZ_SECONDS=600 with --filter-method '*Random_bytes*'.
    private static void Fuzz(TimeSpan time)
    {
        if (int.TryParse(Environment.GetEnvironmentVariable("PERENNIAL_FUZZ_SECONDS"), out var seconds)) time = TimeSpan.FromSeconds(seconds);
        using var folder = new TemporaryFolder();
        var seeds = Seeds();
        var until = DateTime.UtcNow + time;
        var fuzzed = 0L;
        for (var round = 0; DateTime.UtcNow < until; round++)
        {
            var random = new Random(round);
            var ending = Endings[round % Endings.Length];
            var bytes = Mutate(seeds[ending], random);
            var path = folder.Write("f" + ending, bytes);
            var begun = System.Diagnostics.Stopwatch.StartNew();
            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                var (documents, malformed) = Read(path);
                // Nothing disappears: a file with bytes gives documents, malformed records, or is blank or without text by its own rules.
                foreach (var document in documents) Assert.True(System.Text.Unicode.Utf8.IsValid(document.Text.Span));
                foreach (var record in malformed) Assert.NotEmpty(record.Message);
            }
            catch (Exception error) when (error is not Xunit.Sdk.XunitException)
            {
                throw new InvalidOperationException($"round {round}, {ending}: {error.GetType().Name}: {error.Message}", error);
            }
            fuzzed++;
            Assert.True(begun.Elapsed < TimeSpan.FromSeconds(60), $"round {round}, {ending}: {begun.Elapsed}");
            Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 1L << 31, $"round {round}, {ending}: took {GC.GetAllocatedBytesForCurrentThread() - before} bytes");
        }
        Assert.True(fuzzed > 10);
    }

    private static Dictionary<string, byte[]> Seeds()
    {
        var jsonl = Encoding.UTF8.GetBytes(string.Join('\n', Enumerable.Range(0, 20).Select(i => $"{{\"text\": \"line {i} é \\u00e9\", \"n\": {i}, \"url\": \"http://x/{i}\"}}")));
        var text = Encoding.UTF8.GetBytes(string.Join("\n\n", Enumerable.Range(0, 200).Select(i => $"Paragraph {i} “quoted”.")));
        var csv = Encoding.UTF8.GetBytes("text,n\n" + string.Join('\n', Enumerable.Range(0, 20).Select(i => $"\"cell, {i}\"\"\",{i}")));
        var warc = Warc(("conversion", "", "plain"), ("response", "", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + Page));
        byte[] Zip(byte[] bytes)
        {
            using var memory = new MemoryStream();
            using (var zip = new GZipStream(memory, CompressionLevel.Fastest, leaveOpen: true)) zip.Write(bytes);
            return memory.ToArray();
        }
        var column = new Parquet.Schema.DataField<string>("text");
        using var parquet = new MemoryStream();
        Task.Run(async () =>
        {
            await using var writer = await Parquet.ParquetWriter.CreateAsync(new Parquet.Schema.ParquetSchema(column), parquet);
            using var group = writer.CreateRowGroup();
            await group.WriteAsync(column, (IReadOnlyCollection<string?>)["one", "two", "three é"], null);
            group.CompleteValidate();
        }).Wait();
        using var compressor = new ZstdSharp.Compressor();
        return new Dictionary<string, byte[]>
        {
            [".txt"] = text, [".jsonl"] = jsonl, [".csv"] = csv, [".html"] = Encoding.UTF8.GetBytes(Page), [".warc"] = warc, [".wet"] = warc, [".parquet"] = parquet.ToArray(),
            [".jsonl.gz"] = Zip(jsonl), [".txt.zst"] = compressor.Wrap(text).ToArray(), [".warc.gz"] = Zip(warc), [".parquet.gz"] = Zip(parquet.ToArray()),
            [".csv.xz"] = Convert.FromBase64String("/Td6WFoAAATm1rRGAgAhARwAAAAQz1jMAQASdGV4dCBvZiBhbiB4eiBmaWxlCgAA6pKM4/YjL6gAASsTnAlI0h+2830BAAAAAARZWg=="),
        };
    }

    private static byte[] Mutate(byte[] seed, Random random)
    {
        var bytes = seed.ToList();
        for (var change = random.Next(12); change >= 0; change--)
        {
            var at = random.Next(bytes.Count + 1);
            switch (random.Next(6))
            {
                case 0 when at < bytes.Count: bytes[at] = (byte)random.Next(256); break;
                case 1: bytes.Insert(at, (byte)random.Next(256)); break;
                case 2 when at < bytes.Count: bytes.RemoveRange(at, Math.Min(random.Next(1, 40), bytes.Count - at)); break;
                case 3: bytes.InsertRange(at, bytes.Take(random.Next(200)).ToList()); break;
                case 4: bytes.InsertRange(at, "\"\r\n\r\nWARC/1.0\r\nContent-Length: 99999999999\r\n\r\n<div>{[,"u8.ToArray().Take(random.Next(60))); break;
                default: if (random.Next(8) == 0) bytes.RemoveRange(at, bytes.Count - at); break;
            }
        }
        return [.. bytes];
    }
}
