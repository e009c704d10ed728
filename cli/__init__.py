"""The command line: starts the processes, shows what goes on in them. Composes everything, decides nothing."""
