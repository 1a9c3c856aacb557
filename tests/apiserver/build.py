"""The binaries of a real API server, built once: `python tests/apiserver/build.py`, which `make apiserver` calls.

kube-apiserver, etcd and kubectl are pinned in `tools/go.mod` as the tools of a small Go module and are compiled from
the Go module proxy; nothing else is downloaded. It needs Go, of the release that `tools/go.mod` names. Where
$KUBEBUILDER_ASSETS is set (the convention of envtest), the binaries there are used and nothing is built.
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
"""Between two lines of progress: often enough to be seen alive, rare enough for a log."""


class NotBuilt(Exception):
    """There are no binaries; the text says how to get them."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where the binaries are."""

    folder: Path

    @property
    def kube_apiserver(self) -> Path:
        """The API server."""
        return self.folder / "kube-apiserver"

    @property
    def etcd(self) -> Path:
        """Its storage."""
        return self.folder / "etcd"

    @property
    def kubectl(self) -> Path:
        """The command line of the same release."""
        return self.folder / "kubectl"

    def missing(self) -> list[str]:
        """The names of those that are not there."""
        return [name for name in _PACKAGES if not os.access(self.folder / name, os.X_OK)]


def find() -> Binaries:
    """The binaries to use; builds nothing.

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
    """The binaries to use, built where they are missing. Says on stderr what it does, and how long it takes.

    Raises:
        NotBuilt: Go is missing or failed, or $KUBEBUILDER_ASSETS is not complete.
    """
    if os.environ.get(_ASSETS):
        return find()
    binaries = Binaries(_built())
    binaries.folder.mkdir(parents=True, exist_ok=True)
    (_CACHE.parent / ".gitignore").write_text("*\n")
    with _alone(binaries.folder / ".lock"):
        for name in binaries.missing():
            _compile(name, binaries.folder / name)
    return binaries


def pinned(module: str) -> str:
    """The version of a module in go.mod.

    Raises:
        NotBuilt: it is not there.
    """
    found = re.search(rf"^\s*{re.escape(module)} (v\S+)", (_TOOLS / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise NotBuilt(f"{_TOOLS / 'go.mod'} requires no {module}")
    return found[1]


def main() -> int:
    """Build and say where; the exit code is 1 if that failed."""
    try:
        binaries = build()
    except NotBuilt as error:
        _say(str(error))
        return 1
    _say(f"kube-apiserver, etcd and kubectl are in {binaries.folder}")
    return 0


def _built() -> Path:
    return _CACHE / f"{pinned('k8s.io/kubernetes')}-etcd-{pinned('go.etcd.io/etcd/server/v3')}"


def _compile(name: str, target: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise NotBuilt(f"building {name} needs Go (its release: {_TOOLS / 'go.mod'}); or set ${_ASSETS}")
    # Compiled beside its place and renamed: what has its name is whole.
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
    _say(f"{name}: building")
    # Static, so that no C compiler is needed; toolchain by go.mod, whatever the user's default is.
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
    _say(f"{name}: {size:.0f} MB after {time.monotonic() - started:.0f} s")


def _linker_flags() -> str:
    # Without its version the server serves v0.0.0, and feature gates that depend on the release are wrong.
    version = pinned("k8s.io/kubernetes")
    major, minor, _ = version.removeprefix("v").split(".", 2)
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(
        ["-s -w", *(f"-X {package}.{name}={value}" for package in packages for name, value in stamps.items())]
    )


@contextmanager
def _progress(name: str, lines: deque[str]) -> Iterator[None]:
    """Say every now and then how it goes: compilers are silent for minutes."""
    started, done = time.monotonic(), threading.Event()

    def tell() -> None:
        while not done.wait(_PROGRESS_SECONDS):
            at = f", at {lines[-1]}" if lines else ""
            _say(f"{name}: {time.monotonic() - started:.0f} s so far{at}")

    reporter = threading.Thread(target=tell, daemon=True)
    reporter.start()
    try:
        yield
    finally:
        done.set()
        reporter.join()


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One build at a time; whoever comes second finds the work done."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
