"""`paylatch top`: a live view of what is on its way and what needs a person, over RPC. Never opens a database."""

from cli.top.command import top_command

__all__ = ["top_command"]
