using System.IO.Hashing;
using System.Net;
using System.Text;
using Amazon.Runtime;
using Amazon.S3;
using Amazon.S3.Model;
using Perennial.Core;

namespace Perennial.Data.Sources;

/// <summary>
/// Fetches files of http(s):// and s3:// addresses into a local folder, once: a file that is there is asked for again only by its
/// ETag. Object storage speaks S3 through the AWS SDK (credentials, region and <c>AWS_ENDPOINT_URL</c> from its usual places).
/// </summary>
public static class RemoteFiles
{
    private const int Attempts = 4;

    /// <summary>Whether a recipe's path is an address.</summary>
    public static bool IsRemote(string path) =>
        path.StartsWith("http://", StringComparison.OrdinalIgnoreCase) || path.StartsWith("https://", StringComparison.OrdinalIgnoreCase) || path.StartsWith("s3://", StringComparison.OrdinalIgnoreCase);

    /// <summary>The files of an address: one for HTTP; for S3 an object, or every object below a prefix that ends with a slash.</summary>
    /// <exception cref="PerennialException">Exit 2: nothing there or refused. Exit 1: the connection failed after several attempts.</exception>
    public static IReadOnlyList<SourceFile> Fetch(string address, string folder, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(address);
        return (address.StartsWith("s3://", StringComparison.OrdinalIgnoreCase) ? S3(address, folder, cancellation) : Http(address, folder, cancellation)).GetAwaiter().GetResult();
    }

    private static async Task<IReadOnlyList<SourceFile>> Http(string address, string folder, CancellationToken cancellation)
    {
        var path = LocalPath(address, new Uri(address).AbsolutePath, folder);
        using var client = new HttpClient { Timeout = Timeout.InfiniteTimeSpan };
        return [await Retry(address, async () =>
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, address);
            if (File.Exists(path) && File.Exists(path + ".etag")) request.Headers.TryAddWithoutValidation("If-None-Match", await File.ReadAllTextAsync(path + ".etag", cancellation).ConfigureAwait(false));
            using var answer = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation).ConfigureAwait(false);
            if (answer.StatusCode == HttpStatusCode.NotModified) return new SourceFile(path, address);
            if ((int)answer.StatusCode is >= 400 and < 500) throw PerennialException.Usage($"data source '{address}': the server says {(int)answer.StatusCode} {answer.ReasonPhrase}");
            answer.EnsureSuccessStatusCode();
            await using var content = await answer.Content.ReadAsStreamAsync(cancellation).ConfigureAwait(false);
            await Save(path, content, answer.Content.Headers.ContentLength, answer.Headers.ETag?.ToString(), address, cancellation).ConfigureAwait(false);
            return new SourceFile(path, address);
        }, cancellation).ConfigureAwait(false)];
    }

    private static async Task<IReadOnlyList<SourceFile>> S3(string address, string folder, CancellationToken cancellation)
    {
        var parts = address["s3://".Length..].Split('/', 2);
        if (parts.Length < 2 || parts[0].Length == 0) throw PerennialException.Usage($"data source '{address}': must be s3://bucket/key, or s3://bucket/prefix/");
        try
        {
            var endpoint = Environment.GetEnvironmentVariable("AWS_ENDPOINT_URL_S3") ?? Environment.GetEnvironmentVariable("AWS_ENDPOINT_URL");
            var config = new AmazonS3Config { MaxErrorRetry = Attempts, ForcePathStyle = endpoint is not null };
            if (endpoint is not null) (config.ServiceURL, config.AuthenticationRegion) = (endpoint, Environment.GetEnvironmentVariable("AWS_REGION") ?? "us-east-1");
            using var client = new AmazonS3Client(config);
            var objects = new List<S3Object>();
            var request = new ListObjectsV2Request { BucketName = parts[0], Prefix = parts[1] };
            for (ListObjectsV2Response page; ; request.ContinuationToken = page.NextContinuationToken)
            {
                page = await client.ListObjectsV2Async(request, cancellation).ConfigureAwait(false);
                objects.AddRange((page.S3Objects ?? []).Where(one => (parts[1].EndsWith('/') || parts[1].Length == 0 || one.Key == parts[1]) && SourceFiles.FormatOf(one.Key) is not null));
                if (page.IsTruncated != true) break;
            }
            if (objects.Count == 0) throw PerennialException.Usage($"data source '{address}': no object there has an ending that is read");
            var files = new List<SourceFile>();
            foreach (var one in objects.OrderBy(one => one.Key, StringComparer.Ordinal))
            {
                var name = $"s3://{parts[0]}/{one.Key}";
                var path = LocalPath(name, one.Key, folder);
                if (!File.Exists(path) || !File.Exists(path + ".etag") || await File.ReadAllTextAsync(path + ".etag", cancellation).ConfigureAwait(false) != one.ETag)
                {
                    using var got = await client.GetObjectAsync(parts[0], one.Key, cancellation).ConfigureAwait(false);
                    await Save(path, got.ResponseStream, got.ContentLength, one.ETag, name, cancellation).ConfigureAwait(false);
                }
                files.Add(new SourceFile(path, name));
            }
            return files;
        }
        catch (Exception error) when (error is AmazonServiceException or AmazonClientException or HttpRequestException)
        {
            throw PerennialException.Usage($"data source '{address}': {error.Message.ReplaceLineEndings(" ")} (credentials, region and AWS_ENDPOINT_URL are taken from the environment)", error);
        }
    }

    private static string LocalPath(string address, string key, string folder)
    {
        var name = Path.GetFileName(WebUtility.UrlDecode(key));
        if (SourceFiles.FormatOf(name) is null) throw PerennialException.Usage($"data source '{address}': {SourceFiles.WantedEndings}");
        return Path.Combine(folder, Convert.ToHexStringLower(XxHash128.Hash(Encoding.UTF8.GetBytes(address))), name);
    }

    private static async Task Save(string path, Stream content, long? length, string? tag, string address, CancellationToken cancellation)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        var partial = $"{path}.{Environment.ProcessId}{AtomicFile.TemporarySuffix}";
        try
        {
            await using (var file = new FileStream(partial, FileMode.Create, FileAccess.Write, FileShare.None))
            {
                await content.CopyToAsync(file, cancellation).ConfigureAwait(false);
                if (length is { } promised && file.Length != promised) throw new IOException($"{address}: {file.Length} of {promised} bytes came");
            }
            File.Move(partial, path, overwrite: true);
            if (tag is not null) AtomicFile.WriteText(path + ".etag", tag);
        }
        finally
        {
            if (File.Exists(partial)) File.Delete(partial);
        }
    }

    private static async Task<T> Retry<T>(string address, Func<Task<T>> action, CancellationToken cancellation)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await action().ConfigureAwait(false);
            }
            catch (Exception error) when (error is HttpRequestException or IOException)
            {
                if (attempt == Attempts) throw PerennialException.Failed($"data source '{address}': {error.Message.ReplaceLineEndings(" ")} (tried {Attempts} times)", error);
                await Task.Delay(TimeSpan.FromMilliseconds(250 << attempt), cancellation).ConfigureAwait(false);
            }
        }
    }
}
