using System.Diagnostics;
using System.Reflection;
using Perennial.Tensors.Native;
using static TorchSharp.torch;

namespace Perennial.Tensors.Tests.Native;

public sealed class LifetimeMendTests
{
    [Fact]
    public void TheBindingThatIsLoadedHoldsItsArguments() => Assert.True(typeof(Tensor).Assembly.GetCustomAttribute<DebuggableAttribute>()!.IsJITOptimizerDisabled);

    [Fact]
    public void WhatIsNotUnderstoodIsRefused()
    {
        byte[] one = [7, 8, 1, 0, 2, 0, 0, 0, 0, 0, 7];
        Assert.Equal<byte>([7, 8, 1, 0, 3, 1, 0, 0, 0, 0, 7], LifetimeMend.Mend(one)!);
        Assert.Null(LifetimeMend.Mend([.. one, .. one]));
        Assert.Null(LifetimeMend.Mend([1, 2, 3]));
    }

    /// <summary>Without the mend this corrupts the heap or an operand within a second.</summary>
    [Fact]
    public void CollectionsOfOtherThreadsDoNotFreeWhatACallReads()
    {
        using var done = new CancellationTokenSource();
        var collecting = new Thread(() =>
        {
            while (!done.IsCancellationRequested)
            {
                GC.Collect(0);
                GC.WaitForPendingFinalizers();
            }
        });
        collecting.IsBackground = true;
        collecting.Start();
        try
        {
            for (var i = 0; i < 300; i++)
            {
                using var sum = zeros(1000).mul(2.0).add(1.0).sum();
                Assert.Equal(1000f, sum.item<float>());
            }
        }
        finally
        {
            done.Cancel();
            collecting.Join();
        }
    }
}
