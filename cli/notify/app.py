"""The commands `paylatch notify …`, by name. Owns nothing else: each reads its options, calls, and shows the answer."""

import typer

from cli.notify.act import abandon_command, retry_command
from cli.notify.look import explain_command, list_command, show_command
from cli.notify.targets import pause_command, resume_command, targets_command

notify_app = typer.Typer(
    no_args_is_help=True, help="Notifications: which have not arrived, why, and trying them again."
)
for name, command in (
    ("list", list_command),
    ("show", show_command),
    ("explain", explain_command),
    ("retry", retry_command),
    ("abandon", abandon_command),
    ("targets", targets_command),
    ("pause", pause_command),
    ("resume", resume_command),
):
    notify_app.command(name)(command)
