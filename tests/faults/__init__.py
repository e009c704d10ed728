"""Every fault of the catalogue, with real processes: `python -m tests.faults`, or `make faults`.

The product runs as it is; what stands around it makes the faults: signals, a TCP proxy, a gRPC relay, databases that
are restarted or filled up, and traps, which stop a process at an exact point of a transaction.
"""
