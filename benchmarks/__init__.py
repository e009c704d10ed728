"""What paylatch does in a second, measured with its own processes on this machine. No test, and imported by none."""
