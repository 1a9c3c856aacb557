"""`dpfctl`: a simulated site to try things on, and a look at a real one.

Reading order: app (the verbs), console (how they speak and end), demo and board (the demo and its live display), sim
(the simulated site as a process), look (status and watch).
"""

from __future__ import annotations

import sys


def main() -> None:
    """The console script. Without the extra it says what to install."""
    try:
        from dpf_async.cli.app import app  # noqa: PLC0415  typer and rich are an extra
    except ImportError as error:
        sys.exit(f"dpfctl needs {error.name}: pip install 'dpf-async[cli]'")
    app()
