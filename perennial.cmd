@echo off
rem Builds Perennial once (Release) when its sources changed, then runs it. Needs the .NET 10 SDK and nothing else.
setlocal
set "root=%~dp0"
where dotnet >nul 2>nul
if errorlevel 1 (
  echo perennial: the .NET 10 SDK is needed; get it from https://dotnet.microsoft.com/download 1>&2
  exit /b 4
)
rem The build is incremental: when nothing changed it only compares times.
dotnet build "%root%src\Perennial.Cli\Perennial.Cli.csproj" -c Release -v quiet --nologo -p:RunAnalyzersDuringBuild=false 1>&2
if errorlevel 1 exit /b 1
"%root%src\Perennial.Cli\bin\Release\net10.0\win-x64\perennial.exe" %*
exit /b %errorlevel%
