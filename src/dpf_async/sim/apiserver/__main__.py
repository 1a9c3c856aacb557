"""Run an embedded server as a process: python -m dpf_async.sim.apiserver --crds FILE."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import Any

import anyio
import yaml

from dpf_async.sim.apiserver.server import EmbeddedServer


def main(arguments: list[str] | None = None) -> None:
    """Serve until SIGINT or SIGTERM; print the URL when ready."""
    parser = argparse.ArgumentParser(prog="python -m dpf_async.sim.apiserver", description=__doc__)
    parser.add_argument(
        "--crds",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="YAML file, or folder of YAML files, with CustomResourceDefinitions; may be repeated",
    )
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 chooses a free one")
    parser.add_argument("--kubeconfig", metavar="OUT", type=Path, help="write a kubeconfig to this file")
    chosen = parser.parse_args(arguments)
    anyio.run(_serve, _read(chosen.crds), chosen.port, chosen.kubeconfig)


def _read(paths: list[Path]) -> list[dict[str, Any]]:
    definitions = []
    for path in paths:
        for file in sorted(path.glob("*.y*ml")) if path.is_dir() else [path]:
            documents = yaml.safe_load_all(file.read_text(encoding="utf-8"))
            definitions += [
                document
                for document in documents
                if document and document.get("kind") == "CustomResourceDefinition"
            ]
    return definitions


async def _serve(definitions: list[dict[str, Any]], port: int, kubeconfig: Path | None) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with EmbeddedServer(crds=definitions, port=port) as server:
            if kubeconfig is not None:
                server.write_kubeconfig(kubeconfig)
            sys.stdout.write(f"{server.url}\n")
            sys.stdout.flush()
            async for _ in signals:
                return


if __name__ == "__main__":
    main()
