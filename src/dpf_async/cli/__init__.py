"""`dpf-async`: every flow of the library as a verb, and a simulated site to try them on.

Reading order: app (the tree of verbs), console (how they speak and end), options; then one module per noun: site,
host, dpu, node, look (status and watch), access, compat. What they share: hands (what is done to hosts, by a command or
by the person at the terminal), several (many hosts at a time), documents (JSON). trial has the verbs of the simulated
site, demo, board and sim what they do.
"""

from __future__ import annotations

import sys


def main() -> None:
    """The console script. Without the extra it says what to install."""
    try:
        from dpf_async.cli.app import app  # noqa: PLC0415  typer and rich are an extra
    except ImportError as error:
        sys.exit(f"dpf-async needs {error.name}: pip install 'dpf-async[cli]'")
    app()
