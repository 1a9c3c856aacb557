"""Monitoring a site: what is done about the health of hosts, decided by whoever runs them.

The monitor sees to it that the policy always acts on the newest state of a host, one act at a time per host, and that
an act that failed is not forgotten. What it knows it was told by a HealthStream; it keeps nothing that a fresh one
would not be told.
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
"""Seconds between attempts of a policy that fails: up to 2 at first, up to 60 in the end, at random. Chosen: an
inventory that restarts is back in seconds, and one that is down for an hour is asked about once a minute per host."""


class HealthPolicy:
    """What is done about the health of hosts. Override what you want to act on; the rest does nothing.

    For each host one method runs at a time, and always with the newest state; for different hosts they run side by
    side. A method that raises is called again after a while, with what is the newest state then. It may be called for
    the same state again, by the next process at the latest: let it do nothing then.

    While a method runs, nothing else is called for its host. What takes long, such as a reprovisioning, is better
    started elsewhere. A method is cancelled when the monitor is.
    """

    async def remove_from_pool(self, host: NodeHealth) -> None:
        """The host cannot be used: a DPU is not Ready (in Node Effect too), is no Node, or lacks critical services."""

    async def return_to_pool(self, host: NodeHealth) -> None:
        """The host can be used. Problems that do not stand against that may remain: `host.problems`."""

    async def note(self, host: NodeHealth) -> None:
        """The host's problems are others than they were, and its place in the pool is the same."""

    async def investigate(self, host: NodeHealth, problem: HealthProblem) -> None:
        """A problem has stood for `still_after`: reprovision the DPU, or have somebody look."""

    async def forget(self, node: str) -> None:
        """The host is gone: its DPUNode was deleted, or does not match the selector any more."""


class Client(Protocol):
    """What a monitor needs of a DPFClient."""

    def health_transitions(
        self, *, label_selector: str, down_after: float, up_after: float, still_after: float | None
    ) -> HealthStream:
        """How the health of the site changes."""


async def monitor(
    dpf: Client,
    policy: HealthPolicy,
    *,
    label_selector: str = "",
    down_after: float = 0.0,
    up_after: float = 0.0,
    still_after: float | None = None,
    progress: ProgressListener | None = None,
) -> None:
    """Have a policy act on the health of every host, until cancelled.

    A fresh monitor begins with everything that stands: each host is given to `remove_from_pool` or `return_to_pool`
    as soon as it is known which. So a process that was killed is replaced by another one, with nothing handed over.
    What flaps faster than the policy acts is never queued: a policy that comes late is told how things are, not how
    they were.

    Args:
        dpf: an entered client.
        policy: what is done. What its methods raise is logged (`policy_failed`), told to progress, and retried.
        label_selector: only hosts whose DPUNode matches.
        down_after: as for `DPFClient.health_transitions`, as are the next two.
        up_after: seconds that a problem must be gone.
        still_after: seconds after which `investigate` is called; None never does.
        progress: hears of every act, of its end and of its failure.

    Raises:
        UsageError: a number of seconds is below 0.
        Unauthorized, Forbidden, KindNotServed: the site cannot be looked at until somebody repairs something.
    """
    stream = dpf.health_transitions(
        label_selector=label_selector, down_after=down_after, up_after=up_after, still_after=still_after
    )
    hosts: dict[str, _Host] = {}
    reporter = ProgressReporter("monitor", progress)
    before = ""
    async with background_tasks() as tasks, stream:
        async for transition in stream:
            name = transition.node
            if name != before:
                # A host is told of to the end, NodeUsable or NodeUnusable last, before anything is done about it.
                await anyio.lowlevel.checkpoint()
                before = name
            host = hosts.get(name)
            if host is None:
                host = hosts[name] = _Host(name, policy, reporter, forgotten=hosts.pop)
            host.hear(transition, stream.health(name), tasks)


_Act = tuple[str, Callable[[], Awaitable[None]], Callable[[], None]]
"""Its name, the act, and what is true once it was done."""


@dataclass
class _Host:
    """One host: how it is, and what the policy has done about it."""

    name: str
    policy: HealthPolicy
    reporter: ProgressReporter
    forgotten: Callable[[str], object]
    health: NodeHealth | None = None
    old: dict[tuple[str, str], HealthProblem] = field(default_factory=dict)
    """Problems that are to be investigated, by the DPU's uid and the aspect."""
    is_touched: bool = False
    """The policy was called for it, with success or without."""
    done_uid: str = ""
    done_usable: bool | None = None
    done_problems: tuple[HealthProblem, ...] = ()
    news: anyio.Event = field(default_factory=anyio.Event)
    is_busy: bool = False

    def hear(self, transition: HealthTransition, health: NodeHealth | None, tasks: TaskGroup) -> None:
        """Something was told. Never waits."""
        self.health = health
        if isinstance(transition, StillUnhealthy):
            problem = transition.problem
            self.old[problem.uid, problem.aspect] = problem
        standing = () if health is None else health.problems
        stands = {(one.uid, one.aspect): one for one in standing}
        self.old = {key: one for key, one in self.old.items() if stands.get(key) == one}
        self.news.set()
        self.news = anyio.Event()
        if not self.is_busy:
            self.is_busy = True
            tasks.start_soon(self._attend)

    async def _attend(self) -> None:
        """Act until nothing is left to be done. No await between finding that and being idle."""
        backoff = Backoff(base=RETRY_BASE, cap=RETRY_CAP, reset=RETRY_CAP, jitter=Random())  # noqa: S311  not a secret
        while (act := self._next()) is not None:
            name, do, done = act
            news, self.is_touched = self.news, True
            self.reporter.report(f"DPUNode {self.name}", name)
            try:
                await do()
            except Exception as error:  # noqa: BLE001  whatever a policy raises, the other hosts go on
                wait = backoff.next()
                log.error("policy_failed", node=self.name, act=name, error=repr(error), again_in=wait)
                self.reporter.report(
                    f"DPUNode {self.name}",
                    f"{name} failed, attempt {backoff.attempt}: {error!r}; again in {wait:.0f} s, or when it changes",
                )
                with anyio.move_on_after(wait):
                    await news.wait()
            else:
                done()
                backoff.survived(RETRY_CAP)
                log.info("policy_done", node=self.name, act=name)
                self.reporter.report(f"DPUNode {self.name}", f"{name} done")
        self.is_busy = False
        if self.health is None:
            self.forgotten(self.name)

    def _next(self) -> _Act | None:
        """What is to be done for the newest state; what it needs is bound here, before anything changes again."""
        health, policy = self.health, self.policy
        if health is None:
            return self._forgetting() if self.is_touched else None
        problems = health.problems

        def done() -> None:
            self.done_uid, self.done_usable, self.done_problems = health.uid, health.usable, problems

        # A host that was deleted and registered again is another one, whatever was done about the first.
        is_done = health.usable is self.done_usable and health.uid == self.done_uid
        if health.usable is not None and not is_done:
            if health.usable:
                return "return_to_pool", lambda: policy.return_to_pool(health), done
            return "remove_from_pool", lambda: policy.remove_from_pool(health), done
        if problems != self.done_problems:
            return "note", lambda: policy.note(health), done
        if self.old:
            key, problem = next(iter(self.old.items()))

            def investigated() -> None:
                self.old.pop(key, None)

            return "investigate", lambda: policy.investigate(health, problem), investigated
        return None

    def _forgetting(self) -> _Act:
        def done() -> None:
            self.is_touched, self.done_uid, self.done_usable, self.done_problems = False, "", None, ()

        return "forget", lambda: self.policy.forget(self.name), done
