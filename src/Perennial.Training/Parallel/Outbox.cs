using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using Perennial.Resilience.Groups;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Training.Parallel;

/// <summary>Sends float32 tensors to one rank, in order, on a thread of its own; each is disposed when it is gone.</summary>
internal sealed class Outbox : IDisposable
{
    private readonly BlockingCollection<Tensor> posted = [];
    private readonly Thread thread;
    private ExceptionDispatchInfo? failure;

    /// <param name="group">The group.</param>
    /// <param name="to">Who receives.</param>
    /// <param name="tag">Tells the messages from others.</param>
    public Outbox(ICommunicator group, int to, uint tag)
    {
        thread = new Thread(() => Send(group, to, tag)) { Name = $"outbox to {to}", IsBackground = true };
        thread.Start();
    }

    /// <summary>Takes a tensor over and sends it when its turn comes.</summary>
    /// <exception cref="CommunicatorException">An earlier message failed.</exception>
    public void Post(Tensor tensor)
    {
        Volatile.Read(ref failure)?.Throw();
        posted.Add(tensor.DetachFromDisposeScope());
    }

    /// <summary>Returns when everything was sent; nothing may be posted after it.</summary>
    /// <exception cref="CommunicatorException">A message failed.</exception>
    public void Flush()
    {
        posted.CompleteAdding();
        thread.Join();
        failure?.Throw();
    }

    public void Dispose()
    {
        posted.CompleteAdding();
        thread.Join();
        posted.Dispose();
    }

    private void Send(ICommunicator group, int to, uint tag)
    {
        foreach (var tensor in posted.GetConsumingEnumerable())
        {
            using (tensor)
            {
                if (failure is not null) continue;
                try
                {
                    group.Send(TensorMemory.Address<float>(tensor), tensor.NumberOfElements, ElementType.Float32, to, new CallOptions(tag));
                }
                catch (Exception error) when (error is CommunicatorException or ArgumentException)
                {
                    Volatile.Write(ref failure, ExceptionDispatchInfo.Capture(error));
                }
            }
        }
    }
}
