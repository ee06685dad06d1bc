"""The command line, a file a family of commands. A thin shell over the package."""
