"""The messages between an operator process and its parent: one JSON document per line, on stdin and stdout.

The first line of the parent configures the simulation; each later one sets the troubles or requests a wait. The process
reads stdin as soon as its watches, so a message sent before a write to the cluster takes effect before that write is
handled. The process ends with stdin.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import AsyncIterator
from typing import Any, Final, Literal

import anyio
import msgspec

from dpf_async._api.lines import LineSplitter
from dpf_async._base.tasks import background_tasks
from dpf_async.errors import UsageError
from dpf_async.sim.operator.hardware.profiles import Profile
from dpf_async.sim.operator.operator import Operator

__all__ = ["Configure", "SetTroubles", "WaitFor", "WaitResult", "serve_stdin"]

_CHUNK: Final = 64 * 1024


class Configure(msgspec.Struct, frozen=True, tag="configure", tag_field="do"):
    """First message of the parent: the arguments of Operator."""

    kubeconfig: str | dict[str, Any] | None  # Any: it is the user's YAML
    context: str | None
    namespace: str
    profile: Profile
    troubles: tuple[str, ...]


class SetTroubles(msgspec.Struct, frozen=True, tag="set_troubles", tag_field="do"):
    """Switch these troubles on and all others off."""

    troubles: tuple[str, ...]


class WaitFor(msgspec.Struct, frozen=True, tag="wait_for", tag_field="do"):
    """Request a WaitResult when the operator is in this state. timeout in seconds; None means no limit."""

    number: int
    state: Literal["idle", "settled"]
    timeout: float | None = None


class WaitResult(msgspec.Struct, frozen=True):
    """The state is reached; or the timeout expired, and late describes the remaining work."""

    number: int
    late: str | None = None


_TO_PROCESS: Final = msgspec.json.Decoder(Configure | SetTroubles | WaitFor)


async def serve_stdin() -> None:
    """Simulate as configured by stdin until stdin ends; write results to stdout.

    Other output to stdout is redirected to stderr.

    Raises:
        UsageError: stdin is not a pipe, or a line is not a message of this module.
        DPFError: a watch is forbidden, or the cluster cannot be reached.
    """
    # Ctrl-C sends SIGINT to the whole process group; the parent handles it and closes stdin.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    results = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    documents = _documents(sys.stdin.fileno())
    configuration = await anext(documents, None)
    if configuration is None:
        return
    if not isinstance(configuration, Configure):
        raise UsageError('the first line on stdin must be {"do": "configure", …}')
    operator = Operator(
        kubeconfig=configuration.kubeconfig,
        context=configuration.context,
        namespace=configuration.namespace,
        profile=configuration.profile,
        troubles=configuration.troubles,
    )
    started = anyio.Event()

    async def simulate() -> None:
        async with operator:
            started.set()
            await anyio.sleep_forever()

    async def wait(request: WaitFor) -> None:
        await started.wait()
        late = None
        try:
            await (operator.idle() if request.state == "idle" else operator.settled(request.timeout))
        except TimeoutError as error:
            late = str(error)
        os.write(results, msgspec.json.encode(WaitResult(request.number, late)) + b"\n")

    async with background_tasks() as tasks:
        tasks.start_soon(simulate)
        async for document in documents:
            match document:
                case SetTroubles(troubles):
                    operator.troubles.replace(troubles)
                case WaitFor():
                    tasks.start_soon(wait, document)
                case Configure():
                    raise UsageError("the simulation is configured already")


async def _documents(stdin: int) -> AsyncIterator[Configure | SetTroubles | WaitFor]:
    if stat.S_ISREG(os.fstat(stdin).st_mode):
        raise UsageError("stdin must be a pipe: the process cannot wait for input from a file")
    splitter = LineSplitter()
    while True:
        await anyio.wait_readable(stdin)
        chunk = os.read(stdin, _CHUNK)
        if not chunk:
            return
        for line in splitter.feed(chunk):
            try:
                yield _TO_PROCESS.decode(line)
            except msgspec.DecodeError as error:
                # Without the line, which may contain a kubeconfig.
                raise UsageError(f"stdin: {error}") from None
