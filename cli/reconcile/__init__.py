"""Reconciliation: both sides compared over RPC, both ways (SPEC 10). Never opens a database.

Clients.connect → reconcile(clients, options, listener) → Report → show | summary_line | verdict
"""

from cli.reconcile.command import reconcile_command
from cli.reconcile.report import Report, verdict
from cli.reconcile.run import Listener, ReconcileOptions, reconcile
from cli.reconcile.view import show

__all__ = ["Listener", "ReconcileOptions", "Report", "reconcile", "reconcile_command", "show", "verdict"]
