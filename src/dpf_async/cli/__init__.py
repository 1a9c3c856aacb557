"""`dpf-async`: each flow of the library as a verb, and a simulated site to try them on.

Reading order: app (the tree of verbs), console (output, errors and exit status), options (shared by several verbs);
then `commands`, one module for each verb or group of verbs. What these share: host_actions (drain and reboot, by a
command or by the user at the terminal), terminal (prompts), batch (several hosts concurrently), documents (JSON),
deletion_report, and progress_table (the live table of the demo). reference writes docs/reference/dpf-async.md.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the console script; without the extra `cli`, exit with what to install."""
    try:
        from dpf_async.cli.app import app  # noqa: PLC0415  typer and rich are an extra
    except ImportError as error:
        sys.exit(f"dpf-async needs {error.name}: pip install 'dpf-async[cli]'")
    app()
