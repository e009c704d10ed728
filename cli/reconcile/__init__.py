"""Reconciliation: both sides compared over RPC, both ways (SPEC 10). Never opens a database.

Clients.connect → reconcile(clients, options) → Report → show | document | verdict
"""

from cli.reconcile.command import reconcile_command
from cli.reconcile.report import Report, document, verdict
from cli.reconcile.run import ReconcileOptions, reconcile
from cli.reconcile.view import show

__all__ = ["ReconcileOptions", "Report", "document", "reconcile", "reconcile_command", "show", "verdict"]
