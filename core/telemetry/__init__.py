"""What a process tells of itself to machines: traces, and the metrics that there are. Knows no service and no table.

All of it is off unless a setting asks for it, and then costs nothing. Nothing is global: each process makes its own.
"""
