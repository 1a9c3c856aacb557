"""OperatorProcess: runs the simulated operator as a separate process, which ends with the block.

It runs the code of `Operator` as `python -m dpf_async.sim.operator --stdin-control`; see `control_protocol` for the
messages.
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
from dpf_async.sim.operator.process.control_protocol import Configure, SetTroubles, WaitFor, WaitResult

if TYPE_CHECKING:
    from anyio.abc import ByteReceiveStream, Process

__all__ = ["OperatorEnded", "OperatorProcess"]

_COMMAND: Final = (sys.executable, "-m", "dpf_async.sim.operator", "--stdin-control")
_GRACE_SECONDS: Final = 5.0
"""Seconds that the process may take to end after its stdin is closed; then it is killed (chosen: it takes 10 ms)."""
_STDERR_LINES: Final = 50

_FROM_PROCESS: Final = msgspec.json.Decoder(WaitResult)


class OperatorEnded(DPFError):
    """The operator process ended before the block; the message ends with the last lines of its stderr."""


class OperatorProcess(anyio.AsyncContextManagerMixin):
    """async with OperatorProcess(kubeconfig=…): runs the simulated controllers of DPF in a process during the block.

    Args:
        kubeconfig, context, namespace, profile, troubles: as for Operator. Troubles may be switched later; the process
            receives the change before any state that is written to the cluster afterwards.

    The process ends with the block, and also when the parent process is killed. If it ends earlier, the block raises
    OperatorEnded. Entering takes about a second, because a Python process is started.
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
        self.troubles.listen(self._send_troubles)
        self._kubeconfig = kubeconfig
        self._context = context
        self._namespace = namespace
        self._profile = profile_of(profile)
        self._stdin: int | None = None
        self._requests = 0
        self._waiting: dict[int, _Reply] = {}
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        reading, self._stdin = os.pipe()
        try:
            async with self._running(reading) as process, background_tasks() as tasks:
                tasks.start_soon(self._monitor, process)
                self._send(self._configuration())
                await self.idle()
                yield self
        finally:
            self._close()

    async def settled(self, timeout: float | None = None) -> None:
        """Wait until there is nothing left to do, as Operator.settled.

        Args:
            timeout: seconds; None leaves it to the caller's cancel scope.

        Raises:
            TimeoutError: work remains; the message describes it.
        """
        await self._wait_for("settled", timeout)

    async def idle(self) -> None:
        """Wait until all events received so far are handled. The server may have newer states."""
        await self._wait_for("idle")

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

    async def _monitor(self, process: Process) -> None:
        if process.stdout is not None and process.stderr is not None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._read_results, process.stdout)
                tasks.start_soon(self._forward_stderr, process.stderr)
        code = await process.wait()
        stderr = "\n".join(self._stderr) or "(empty)"
        raise OperatorEnded(f"the operator process ended with {code}; its stderr:\n{stderr}")

    async def _read_results(self, stdout: ByteReceiveStream) -> None:
        splitter = LineSplitter()
        async for chunk in stdout:
            for line in splitter.feed(chunk):
                result = _FROM_PROCESS.decode(line)
                reply = self._waiting.pop(result.number, None)
                if reply is not None:
                    reply.late = result.late
                    reply.received.set()

    async def _forward_stderr(self, stderr: ByteReceiveStream) -> None:
        splitter = LineSplitter()
        async for chunk in stderr:
            for line in splitter.feed(chunk):
                text = line.decode(errors="replace").rstrip()
                self._stderr.append(text)
                sys.stderr.write(f"{text}\n")

    async def _wait_for(self, state: Literal["idle", "settled"], timeout: float | None = None) -> None:
        self._requests += 1
        number, reply = self._requests, _Reply()
        self._waiting[number] = reply
        try:
            self._send(WaitFor(number, state, timeout))
            await reply.received.wait()
        finally:
            self._waiting.pop(number, None)
        if reply.late is not None:
            raise TimeoutError(reply.late)

    def _configuration(self) -> Configure:
        kubeconfig = self._kubeconfig
        return Configure(
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

    def _send_troubles(self) -> None:
        if self._stdin is not None:
            self._send(SetTroubles(self._troubles_on))

    def _send(self, document: Configure | SetTroubles | WaitFor) -> None:
        if self._stdin is None:
            raise UsageError("this OperatorProcess is not entered: use it with `async with`")
        line = msgspec.json.encode(document) + b"\n"
        # Written without awaiting, so that the process receives it before the effects of the caller's next request. The
        # buffer of a pipe holds many such lines. A broken pipe means that the process ended: _monitor reports that.
        with suppress(BrokenPipeError):
            while line:
                line = line[os.write(self._stdin, line) :]

    def _close(self) -> None:
        if self._stdin is not None:
            os.close(self._stdin)
            self._stdin = None


class _Reply:
    """The result of one request, when it is received."""

    def __init__(self) -> None:
        self.received = anyio.Event()
        self.late: str | None = None
