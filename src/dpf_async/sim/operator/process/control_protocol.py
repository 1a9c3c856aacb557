"""What a steered operator process and its parent say to each other: one JSON document a line, on stdin and stdout.

The parent's first line says what to simulate, each later one which troubles are on by now, or asks to be told when the
operator has nothing left to do. What the parent has written before it touches the cluster, the process knows before it
acts upon the touch: it reads its stdin as soon as its watches. The end of stdin is the end of the process.
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

__all__ = ["Answer", "Ask", "Begin", "Switch", "obey"]

_CHUNK: Final = 64 * 1024


class Begin(msgspec.Struct, frozen=True, tag="begin", tag_field="do"):
    """The parent's first word: what to simulate."""

    kubeconfig: str | dict[str, Any] | None  # Any: it is the user's YAML
    context: str | None
    namespace: str
    profile: Profile
    troubles: tuple[str, ...]


class Switch(msgspec.Struct, frozen=True, tag="switch", tag_field="do"):
    """These troubles are on from now on, and no others."""

    troubles: tuple[str, ...]


class Ask(msgspec.Struct, frozen=True, tag="ask", tag_field="do"):
    """Answer when that is so. The timeout is in seconds; None means however long it takes."""

    number: int
    state: Literal["idle", "settled"]
    timeout: float | None = None


class Answer(msgspec.Struct, frozen=True):
    """It is so; or the time is over, and this is why."""

    number: int
    late: str | None = None


_TO_PROCESS: Final = msgspec.json.Decoder(Begin | Switch | Ask)


async def obey() -> None:
    """Simulate what stdin says until it ends; answer on stdout. All that others print goes to stderr instead.

    Raises:
        UsageError: stdin is no pipe, or what comes from it is not what this module describes.
        DPFError: a watch was refused, or there is no way to the cluster.
    """
    # Ctrl-C is told to the whole group of processes; the parent decides what comes of it, and closes stdin.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    documents = _documents(sys.stdin.fileno())
    begin = await anext(documents, None)
    if begin is None:
        return
    if not isinstance(begin, Begin):
        raise UsageError('the first line on stdin must be {"do": "begin", …}')
    operator = Operator(
        kubeconfig=begin.kubeconfig,
        context=begin.context,
        namespace=begin.namespace,
        profile=begin.profile,
        troubles=begin.troubles,
    )
    started = anyio.Event()

    async def simulate() -> None:
        async with operator:
            started.set()
            await anyio.sleep_forever()

    async def answer(ask: Ask) -> None:
        await started.wait()
        late = None
        try:
            await (operator.idle() if ask.state == "idle" else operator.settled(ask.timeout))
        except TimeoutError as error:
            late = str(error)
        os.write(answers, msgspec.json.encode(Answer(ask.number, late)) + b"\n")

    async with background_tasks() as tasks:
        tasks.start_soon(simulate)
        async for document in documents:
            match document:
                case Switch(troubles):
                    operator.troubles.replace(troubles)
                case Ask():
                    tasks.start_soon(answer, document)
                case Begin():
                    raise UsageError("it has begun already")


async def _documents(stdin: int) -> AsyncIterator[Begin | Switch | Ask]:
    if stat.S_ISREG(os.fstat(stdin).st_mode):
        raise UsageError("stdin must be a pipe: a file cannot be waited for")
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
                # Without the line: a kubeconfig may be in it.
                raise UsageError(f"stdin: {error}") from None
