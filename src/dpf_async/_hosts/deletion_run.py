"""One deletion in progress: the writes that every deletion consists of, its deadline, and what it did so far."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from dpf_async._api.codec import ObjectState
from dpf_async._base.concurrency import wait_all
from dpf_async._base.retry import retry_on_conflict
from dpf_async._hosts.deletion_targets import Document, Target
from dpf_async._hosts.lookups import find_state
from dpf_async._readers.waits import Deadline
from dpf_async.errors import Conflict, DPFError, NotFound, UsageError, WaitTimeout
from dpf_async.models import DPUDevice, Resource, known

if TYPE_CHECKING:
    from dpf_async._readers.progress import ProgressReporter
    from dpf_async._session.client import Client

T = TypeVar("T", bound=Resource)


class DeletionRun:
    """One deletion in progress.

    Args:
        dpf: the client.
        subject: the object to delete, for messages: "DPUNode node-1".
        timeout: seconds for all waits together; None has no end.
        reporter: receives each write, and what each object waits for.
    """

    def __init__(
        self, dpf: Client, subject: str, *, timeout: float | None, reporter: ProgressReporter
    ) -> None:
        self.dpf = dpf
        self.subject = subject
        self.deadline = Deadline(timeout)
        self.reporter = reporter
        self._done: dict[str, None] = {}
        self._began = anyio.current_time()

    @contextmanager
    def error_notes(self) -> Iterator[None]:
        """Add what was done so far to an error that leaves the block."""
        try:
            yield
        except DPFError as error:
            if not isinstance(error, UsageError):
                done = "; ".join(self._done) or "nothing"
                error.add_note(f"done before that: {done}. Call it again to continue")
            raise

    async def request(self, targets: Iterable[Target]) -> None:
        """Request the deletion of each target, in this order. A target that does not exist any more is success."""
        for target in targets:
            try:
                await self.dpf.resource(target.kind).delete(target.name, uid=target.uid)
            except (NotFound, Conflict):
                # Conflict: another object has the name now, so the target is deleted.
                continue
            self.record(target, "deletion requested")

    async def wait_until_deleted(self, targets: Sequence[Target]) -> None:
        """Wait until none of the targets exists.

        Raises:
            WaitTimeout: the message has the state of each one that still exists.
        """
        outcomes = await wait_all({target: partial(self._wait_for_one, target) for target in targets})
        late = outcomes.errors
        if not late:
            return
        waited = anyio.current_time() - self._began
        states = "\n  ".join(map(str, late.values()))
        timeout = WaitTimeout(
            f"{self.subject}: not deleted after {waited:g} s; objects that still exist:\n  {states}",
            condition="deleted",
            view=next(iter(late.values())).view,
            waited=waited,
        )
        if all(_waits_for_its_dpu(target, error) for target, error in late.items()):
            timeout.add_note(
                f"the DPU on a DPUDevice removes finalizer {known.DPUDEVICE_FINALIZER} from it; while no DPU refers to"
                " the DPUDevice, only a forced deletion removes the finalizer"
            )
        raise timeout

    async def _wait_for_one(self, target: Target) -> None:
        handle = self.dpf.handle(target.kind, target.name)

        def describe(view: Any) -> str | None:  # Any: the view depends on the kind
            return None if view is None or view.uid != target.uid else handle.describe(view)

        async with self.reporter.following(handle.views(), str(target), describe):
            await handle.until_gone(uid=target.uid, timeout=self.deadline.remaining)
        self.reporter.report(str(target), "deleted")

    def record(self, subject: object, action: str) -> None:
        """Report an action, and remember it for `error_notes`."""
        self._done[f"{subject}: {action}"] = None
        self.reporter.report(str(subject), action)

    async def modify(
        self, kind: type[T], name: str, change: Callable[[ObjectState[T]], Document | None], action: str
    ) -> ObjectState[T] | None:
        """Read an object, change it, and write it with its resourceVersion; repeat on a conflict.

        Args:
            kind: of the object.
            name: of the object.
            change: the merge patch for a state; None if nothing has to be changed.
            action: what the change does, for progress and the notes of an error.

        Returns:
            The state that was changed; None if nothing was changed or the object does not exist.

        Raises:
            Conflict: the object changed between each read and write.
        """

        async def attempt() -> ObjectState[T] | None:
            state = await find_state(self.dpf, kind, name)
            if state is None or (patch := change(state)) is None:
                return None
            metadata = {**patch.get("metadata", {}), "resourceVersion": state.resource_version}
            try:
                await self.dpf.resource(kind).patch(name, {**patch, "metadata": metadata})
            except NotFound:
                return None
            return state

        note = f"another client keeps changing {kind.KIND} {name}; its field manager is in metadata.managedFields"
        changed = await retry_on_conflict(attempt, note=note)
        if changed is not None:
            self.record(f"{kind.KIND} {name}", action)
        return changed


def without_finalizer(state: ObjectState[Any], finalizer: str) -> Document | None:
    """The patch that removes a finalizer; None if it is not set, or the object is not being deleted."""
    present = state.record.metadata.finalizers or ()
    if finalizer not in present or not state.terminating:
        return None
    return {"metadata": {"finalizers": [other for other in present if other != finalizer]}}


def _waits_for_its_dpu(target: Target, error: WaitTimeout) -> bool:
    return (
        target.kind is DPUDevice
        and error.view is not None
        and without_finalizer(error.view, known.DPUDEVICE_FINALIZER) is not None
    )
