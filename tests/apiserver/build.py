"""The binaries of a real API server, built once by `python tests/apiserver/build.py`, which `make apiserver` runs.

kube-apiserver, etcd and kubectl are pinned in `tools/go.mod` as the tools of a small Go module and are compiled from
the Go module proxy; nothing else is downloaded. This needs the release of Go that `tools/go.mod` names. If
$KUBEBUILDER_ASSETS is set (the convention of envtest), those binaries are used and nothing is built.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Binaries", "NotBuilt", "build", "find", "main", "pinned"]

_TOOLS: Final = Path(__file__).resolve().parent / "tools"
_CACHE: Final = Path(__file__).resolve().parents[2] / ".cache" / "apiserver"
_ASSETS: Final = "KUBEBUILDER_ASSETS"
_PACKAGES: Final = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
}
_PROGRESS_SECONDS: Final = 15.0
"""Seconds between two lines of progress; chosen."""


class NotBuilt(Exception):
    """Binaries are missing; the message explains how to get them."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """The folder of the binaries."""

    folder: Path

    @property
    def kube_apiserver(self) -> Path:
        """The API server."""
        return self.folder / "kube-apiserver"

    @property
    def etcd(self) -> Path:
        """The storage of the API server."""
        return self.folder / "etcd"

    @property
    def kubectl(self) -> Path:
        """kubectl of the same release."""
        return self.folder / "kubectl"

    def missing(self) -> list[str]:
        """The names of the missing binaries."""
        return [name for name in _PACKAGES if not os.access(self.folder / name, os.X_OK)]


def find() -> Binaries:
    """Find the binaries; build nothing.

    Raises:
        NotBuilt: some are missing.
    """
    assets = os.environ.get(_ASSETS)
    binaries = Binaries(Path(assets) if assets else _built())
    if missing := binaries.missing():
        advice = f"${_ASSETS} points there" if assets else f"run `make apiserver`, or set ${_ASSETS}"
        raise NotBuilt(f"{', '.join(missing)} not found in {binaries.folder}: {advice}")
    return binaries


def build() -> Binaries:
    """Find the binaries and build missing ones; print the progress to stderr.

    Raises:
        NotBuilt: Go is missing or failed, or $KUBEBUILDER_ASSETS is not complete.
    """
    if os.environ.get(_ASSETS):
        return find()
    binaries = Binaries(_built())
    binaries.folder.mkdir(parents=True, exist_ok=True)
    (_CACHE.parent / ".gitignore").write_text("*\n")
    with _locked(binaries.folder / ".lock"):
        for name in binaries.missing():
            _compile(name, binaries.folder / name)
    return binaries


def pinned(module: str) -> str:
    """The version of a module in go.mod.

    Raises:
        NotBuilt: go.mod does not require it.
    """
    found = re.search(rf"^\s*{re.escape(module)} (v\S+)", (_TOOLS / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise NotBuilt(f"{_TOOLS / 'go.mod'} requires no {module}")
    return found[1]


def main() -> int:
    """Build the binaries and print their folder; the exit code is 1 on failure."""
    try:
        binaries = build()
    except NotBuilt as error:
        _print(str(error))
        return 1
    _print(f"kube-apiserver, etcd and kubectl are in {binaries.folder}")
    return 0


def _built() -> Path:
    return _CACHE / f"{pinned('k8s.io/kubernetes')}-etcd-{pinned('go.etcd.io/etcd/server/v3')}"


def _compile(name: str, target: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise NotBuilt(f"building {name} needs Go (its release: {_TOOLS / 'go.mod'}); or set ${_ASSETS}")
    # Compiled to another name and renamed, so that an incomplete file never has the final name.
    unfinished = target.with_name(f".{name}.unfinished")
    command = [
        go,
        "build",
        "-v",
        "-mod=readonly",
        "-trimpath",
        "-ldflags",
        _linker_flags(),
        "-o",
        str(unfinished),
    ]
    started = time.monotonic()
    _print(f"{name}: building")
    # Static, so that no C compiler is needed; the toolchain is the one of go.mod, not the user's default.
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}
    with subprocess.Popen(
        [*command, _PACKAGES[name]],
        cwd=_TOOLS,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as compiler:
        assert compiler.stderr is not None
        lines: deque[str] = deque(maxlen=30)
        with _progress(name, lines):
            lines.extend(line.rstrip() for line in compiler.stderr)
    if compiler.returncode:
        raise NotBuilt("\n".join([f"{name}: go build failed", *lines]))
    unfinished.rename(target)
    size = target.stat().st_size / 1e6
    _print(f"{name}: {size:.0f} MB after {time.monotonic() - started:.0f} s")


def _linker_flags() -> str:
    # Without these, the server reports v0.0.0 and sets feature gates for a wrong release.
    version = pinned("k8s.io/kubernetes")
    major, minor, _ = version.removeprefix("v").split(".", 2)
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(
        ["-s -w", *(f"-X {package}.{name}={value}" for package in packages for name, value in stamps.items())]
    )


@contextmanager
def _progress(name: str, lines: deque[str]) -> Iterator[None]:
    """Print the progress at intervals; the compiler prints nothing for minutes."""
    started, done = time.monotonic(), threading.Event()

    def report() -> None:
        while not done.wait(_PROGRESS_SECONDS):
            at = f", at {lines[-1]}" if lines else ""
            _print(f"{name}: {time.monotonic() - started:.0f} s so far{at}")

    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        yield
    finally:
        done.set()
        reporter.join()


@contextmanager
def _locked(lock: Path) -> Iterator[None]:
    """Serialize builds of concurrent processes."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _print(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
