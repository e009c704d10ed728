"""`paylatch notify`: the operator's side of notifications, over RPC (SPEC 7). Never opens a database."""

from cli.notify.app import notify_app

__all__ = ["notify_app"]
