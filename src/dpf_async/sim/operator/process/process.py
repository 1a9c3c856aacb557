"""OperatorProcess: the simulated operator as a process of its own, steered from here and ended with the block.

It is the same code as `Operator`, started as `python -m dpf_async.sim.operator --steered`; see `steering` for what the
two say to each other.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager, suppress
from subprocess import PIPE
from typing import TYPE_CHECKING, Final, Literal, Self

import anyio
import msgspec

from dpf_async._api.config import Kubeconfig
from dpf_async._api.lines import LineSplitter
from dpf_async._base.tasks import background_tasks
from dpf_async.errors import DPFError, UsageError
from dpf_async.models import known
from dpf_async.sim.operator.hardware.profiles import INSTANT, Profile, profile_of
from dpf_async.sim.operator.hardware.troubles import Troubles
from dpf_async.sim.operator.process.control_protocol import Answer, Ask, Begin, Switch

if TYPE_CHECKING:
    from anyio.abc import ByteReceiveStream, Process

__all__ = ["OperatorEnded", "OperatorProcess"]

_COMMAND: Final = (sys.executable, "-m", "dpf_async.sim.operator", "--steered")
_GRACE_SECONDS: Final = 5.0
"""What a process whose stdin was closed may take to end; then it is killed (chosen: it needs some milliseconds)."""
_TOLD_LINES: Final = 50

_FROM_PROCESS: Final = msgspec.json.Decoder(Answer)


class OperatorEnded(DPFError):
    """The operator process ended by itself; the text ends with the last lines of what it wrote to stderr."""


class OperatorProcess(anyio.AsyncContextManagerMixin):
    """async with OperatorProcess(kubeconfig=…): DPF's controllers, simulated by another process while the block lasts.

    Args:
        kubeconfig, context, namespace, profile, troubles: as for Operator. Troubles may be switched later; the process
            knows of it before it sees anything that is written to the cluster after that.

    The process ends with the block, and also when this process is killed. If it ends before, the block ends with
    OperatorEnded. Entering it takes about a second: it is a Python of its own.
    """

    def __init__(
        self,
        *,
        kubeconfig: Kubeconfig | None = None,
        context: str | None = None,
        namespace: str = known.DPF_NAMESPACE,
        profile: str | Profile = INSTANT,
        troubles: Troubles | Iterable[str] = (),
    ) -> None:
        self.troubles: Troubles = troubles if isinstance(troubles, Troubles) else Troubles(troubles)
        self.troubles.listen(self._switch)
        self._kubeconfig = kubeconfig
        self._context = context
        self._namespace = namespace
        self._profile = profile_of(profile)
        self._stdin: int | None = None
        self._asked = 0
        self._waiting: dict[int, _Reply] = {}
        self._stderr: deque[str] = deque(maxlen=_TOLD_LINES)

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        reading, self._stdin = os.pipe()
        try:
            async with self._running(reading) as process, background_tasks() as tasks:
                tasks.start_soon(self._follow, process)
                self._say(self._begin())
                await self.idle()
                yield self
        finally:
            self._close()

    async def settled(self, timeout: float | None = None) -> None:
        """Wait until there is nothing left to do for now, as Operator.settled.

        Args:
            timeout: seconds; None leaves it to the caller's cancel scope.

        Raises:
            TimeoutError: it goes on; the message says what with.
        """
        await self._ask("settled", timeout)

    async def idle(self) -> None:
        """Wait until what was seen so far has been dealt with. More may have happened than was seen."""
        await self._ask("idle")

    @asynccontextmanager
    async def _running(self, stdin: int) -> AsyncGenerator[Process]:
        try:
            process = await anyio.open_process(_COMMAND, stdin=stdin, stdout=PIPE, stderr=PIPE)
        finally:
            os.close(stdin)
        try:
            yield process
        finally:
            with anyio.CancelScope(shield=True):
                self._close()
                with anyio.move_on_after(_GRACE_SECONDS):
                    await process.wait()
                if process.returncode is None:
                    process.kill()
                await process.aclose()

    async def _follow(self, process: Process) -> None:
        if process.stdout is not None and process.stderr is not None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._hear_answers, process.stdout)
                tasks.start_soon(self._hear_words, process.stderr)
        code = await process.wait()
        said = "\n".join(self._stderr) or "nothing"
        raise OperatorEnded(f"the operator process ended with {code}; it said:\n{said}")

    async def _hear_answers(self, stdout: ByteReceiveStream) -> None:
        splitter = LineSplitter()
        async for chunk in stdout:
            for line in splitter.feed(chunk):
                answer = _FROM_PROCESS.decode(line)
                reply = self._waiting.pop(answer.number, None)
                if reply is not None:
                    reply.late = answer.late
                    reply.come.set()

    async def _hear_words(self, stderr: ByteReceiveStream) -> None:
        splitter = LineSplitter()
        async for chunk in stderr:
            for line in splitter.feed(chunk):
                words = line.decode(errors="replace").rstrip()
                self._stderr.append(words)
                # What it has to say is not lost when it goes on, either.
                sys.stderr.write(f"{words}\n")

    async def _ask(self, state: Literal["idle", "settled"], timeout: float | None = None) -> None:
        self._asked += 1
        number, reply = self._asked, _Reply()
        self._waiting[number] = reply
        try:
            self._say(Ask(number, state, timeout))
            await reply.come.wait()
        finally:
            self._waiting.pop(number, None)
        if reply.late is not None:
            raise TimeoutError(reply.late)

    def _begin(self) -> Begin:
        kubeconfig = self._kubeconfig
        return Begin(
            kubeconfig=kubeconfig
            if kubeconfig is None or isinstance(kubeconfig, dict)
            else os.fspath(kubeconfig),
            context=self._context,
            namespace=self._namespace,
            profile=self._profile,
            troubles=self._troubles_on,
        )

    @property
    def _troubles_on(self) -> tuple[str, ...]:
        return tuple(str(trouble) for trouble in self.troubles)

    def _switch(self) -> None:
        if self._stdin is not None:
            self._say(Switch(self._troubles_on))

    def _say(self, document: Begin | Switch | Ask) -> None:
        if self._stdin is None:
            raise UsageError("this operator is not entered: use it with `async with`")
        line = msgspec.json.encode(document) + b"\n"
        # Written here and now, so that whatever the caller does next comes after it. A pipe holds many such lines.
        # If nobody reads any more, the process has ended: that is told by whoever follows it.
        with suppress(BrokenPipeError):
            while line:
                line = line[os.write(self._stdin, line) :]

    def _close(self) -> None:
        if self._stdin is not None:
            os.close(self._stdin)
            self._stdin = None


class _Reply:
    """What the process answers to one question."""

    def __init__(self) -> None:
        self.come = anyio.Event()
        self.late: str | None = None
