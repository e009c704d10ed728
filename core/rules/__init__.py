"""The rules of paylatch as pure values and functions. Never does I/O, never reads a clock."""
