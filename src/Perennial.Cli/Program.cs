using Perennial.Cli.Hosting;

return ProgramHost.Run(args, Console.Out, Console.Error);
