"""Health monitoring: call a policy for each change of the health of a host.

The monitor calls the policy with the newest state of a host, one call at a time per host, and repeats failed calls. Its
only source is a HealthStream, so it needs no state of its own from a previous process.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Final, Protocol

import anyio
import anyio.lowlevel

from dpf_async._base.tasks import background_tasks
from dpf_async._log import log
from dpf_async._readers.progress import ProgressListener, ProgressReporter
from dpf_async._transitions.health import HealthProblem, NodeHealth
from dpf_async._transitions.health_transitions import HealthTransition, StillUnhealthy
from dpf_async._watch.backoff import Backoff

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from dpf_async._readers.health_stream import HealthStream

RETRY_BASE: Final = 2.0
RETRY_CAP: Final = 60.0
"""Seconds between calls of a policy that fails: random, at first up to 2, later up to 60. Chosen: after a restart of
the inventory the next call is within seconds; during a long outage there are about two calls per minute and host."""


class HealthPolicy:
    """What to do about the health of hosts. Override the methods of interest; the others do nothing.

    For each host one method runs at a time, with the newest state; for different hosts they run concurrently. A method
    that raises is called again after a delay, with the newest state by then. It can be called again for a state that it
    already handled, for example after a restart of the process: it must be idempotent.

    No other method is called for a host while one runs, so start work that takes long, such as a reprovisioning, in
    another task. Methods are cancelled together with the monitor.
    """

    async def remove_from_pool(self, host: NodeHealth) -> None:
        """The host is not usable: a DPU is not Ready (also in Node Effect), has no Node, or lacks critical services."""

    async def return_to_pool(self, host: NodeHealth) -> None:
        """The host is usable. Problems that do not prevent that may remain: `host.problems`."""

    async def note(self, host: NodeHealth) -> None:
        """The problems of the host changed, but not whether it is usable."""

    async def investigate(self, host: NodeHealth, problem: HealthProblem) -> None:
        """A problem has lasted for `still_after` seconds: reprovision the DPU, or notify an administrator."""

    async def discard(self, node: str) -> None:
        """The DPUNode was deleted, or does not match the selector any more."""


class HealthSource(Protocol):
    """What a monitor needs of a DPFClient."""

    def health_transitions(
        self, *, label_selector: str, down_after: float, up_after: float, still_after: float | None
    ) -> HealthStream:
        """How the health of the site changes."""


async def monitor(
    dpf: HealthSource,
    policy: HealthPolicy,
    *,
    label_selector: str = "",
    down_after: float = 0.0,
    up_after: float = 0.0,
    still_after: float | None = None,
    progress: ProgressListener | None = None,
) -> None:
    """Call a policy for every change of the health of hosts, until cancelled.

    A new monitor starts with the current state: it calls `remove_from_pool` or `return_to_pool` for each host when its
    health is known. Therefore a process that ended is replaced by another one without a transfer of state.
    Changes are not queued: a slow policy is called with the newest state, and not with the states in between.

    Args:
        dpf: an entered client.
        policy: what to do. Exceptions of its methods are logged (`policy_failed`), reported to `progress`, and the call
            is repeated.
        label_selector: only hosts whose DPUNode matches.
        down_after: as for `DPFClient.health_transitions`, like the next two.
        up_after: seconds for which a problem must be absent.
        still_after: seconds after which `investigate` is called; None never calls it.
        progress: callback for the start, the end and the failure of each call of the policy.

    Raises:
        UsageError: a number of seconds is below 0.
        Unauthorized, Forbidden, KindNotServed: the site cannot be read until a user repairs permissions or the cluster.
    """
    stream = dpf.health_transitions(
        label_selector=label_selector, down_after=down_after, up_after=up_after, still_after=still_after
    )
    hosts: dict[str, _Host] = {}
    reporter = ProgressReporter("monitor", progress)
    previous = ""
    async with background_tasks() as tasks, stream:
        async for transition in stream:
            name = transition.node
            if name != previous:
                # The stream yields all transitions of a host in sequence, NodeUsable or NodeUnusable last. The policy
                # is called only after them, so that it acts on the complete state of the host.
                await anyio.lowlevel.checkpoint()
                previous = name
            host = hosts.get(name)
            if host is None:
                host = hosts[name] = _Host(name, policy, reporter, remove=hosts.pop)
            host.update(transition, stream.health(name), tasks)


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of the policy, with its arguments bound, and the function that records its success."""

    name: str
    run: Callable[[], Awaitable[None]]
    succeeded: Callable[[], None]


@dataclass
class _Host:
    """The newest health of one host, and what the policy has already handled."""

    name: str
    policy: HealthPolicy
    reporter: ProgressReporter
    remove: Callable[[str], object]
    health: NodeHealth | None = None
    lasting: dict[tuple[str, str], HealthProblem] = field(default_factory=dict)
    """Problems to investigate, by uid of the DPU and aspect."""
    was_called: bool = False
    """The policy was called for this host, with or without success."""
    handled_uid: str = ""
    handled_usable: bool | None = None
    handled_problems: tuple[HealthProblem, ...] = ()
    changed: anyio.Event = field(default_factory=anyio.Event)
    is_busy: bool = False

    def update(self, transition: HealthTransition, health: NodeHealth | None, tasks: TaskGroup) -> None:
        """Accept a transition, and start calls if none are running. Never waits."""
        self.health = health
        if isinstance(transition, StillUnhealthy):
            problem = transition.problem
            self.lasting[problem.uid, problem.aspect] = problem
        problems = () if health is None else health.problems
        current = {(one.uid, one.aspect): one for one in problems}
        self.lasting = {key: one for key, one in self.lasting.items() if current.get(key) == one}
        self.changed.set()
        self.changed = anyio.Event()
        if not self.is_busy:
            self.is_busy = True
            tasks.start_soon(self._work)

    async def _work(self) -> None:
        """Call the policy until nothing remains to be handled. There is no await between that and becoming idle."""
        backoff = Backoff(base=RETRY_BASE, cap=RETRY_CAP, reset=RETRY_CAP, jitter=Random())  # noqa: S311  not a secret
        while (call := self._next()) is not None:
            changed, self.was_called = self.changed, True
            self._report(call.name)
            try:
                await call.run()
            except Exception as error:  # noqa: BLE001  a policy may raise anything; the other hosts continue
                delay = backoff.next()
                log.error("policy_failed", node=self.name, call=call.name, error=repr(error), retry_in=delay)
                self._report(
                    f"{call.name} failed, attempt {backoff.attempt}: {error!r};"
                    f" called again in {delay:.0f} s, or when the host changes"
                )
                with anyio.move_on_after(delay):
                    await changed.wait()
            else:
                call.succeeded()
                backoff.survived(RETRY_CAP)
                log.info("policy_done", node=self.name, call=call.name)
                self._report(f"{call.name} done")
        self.is_busy = False
        if self.health is None:
            self.remove(self.name)

    def _report(self, doing: str) -> None:
        self.reporter.report(f"DPUNode {self.name}", doing)

    def _next(self) -> _Call | None:
        """The next call for the newest state. Its arguments are bound here, before the state changes again."""
        health, policy = self.health, self.policy
        if health is None:
            return self._discard() if self.was_called else None
        problems = health.problems

        def handled() -> None:
            self.handled_uid, self.handled_usable, self.handled_problems = health.uid, health.usable, problems

        # A host that was deleted and registered again is another host.
        is_handled = health.usable is self.handled_usable and health.uid == self.handled_uid
        if health.usable is not None and not is_handled:
            if health.usable:
                return _Call("return_to_pool", lambda: policy.return_to_pool(health), handled)
            return _Call("remove_from_pool", lambda: policy.remove_from_pool(health), handled)
        if problems != self.handled_problems:
            return _Call("note", lambda: policy.note(health), handled)
        if self.lasting:
            key, problem = next(iter(self.lasting.items()))

            def investigated() -> None:
                self.lasting.pop(key, None)

            return _Call("investigate", lambda: policy.investigate(health, problem), investigated)
        return None

    def _discard(self) -> _Call:
        def discarded() -> None:
            self.was_called, self.handled_uid, self.handled_usable = False, "", None
            self.handled_problems = ()

        return _Call("discard", lambda: self.policy.discard(self.name), discarded)
