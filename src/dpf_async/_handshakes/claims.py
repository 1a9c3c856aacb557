"""Claims: of all the clients that claim, in whatever processes, one at a time works on what DPF asks about a node.

A Lease per DPUNode says which. Whatever is decided from a lease is decided by writing it at the very version it was
read in, so two never decide the same. Clocks of different machines are not compared: a lease that somebody holds may
be taken when it stood still for its whole duration by the clock of whoever watches it (as client-go's leader election
does). A BMC knows nothing of leases: who holds one may believe for a moment longer that it does, and power cycle a
host beside the next holder. What is exact is the answer: it is written at a version of the object that was read before
the claim was last confirmed, so nobody answers a request that somebody else has answered.
"""

from __future__ import annotations

import hashlib
import math
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import msgspec

from dpf_async._api.codec import UNREADABLE
from dpf_async._base.retry import GRACE, retry_transient
from dpf_async._base.tasks import background_tasks
from dpf_async._log import log
from dpf_async.errors import AlreadyExists, Conflict, DPFError, NotFound, UsageError
from dpf_async.models import DPUNode, Lease, LeaseSpec, ObjectMeta, OwnerReference
from dpf_async.models.names import UID
from dpf_async.models.times import format_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dpf_async._api.resource import ResourceClient
    from dpf_async._transitions.views import NodeView

CLAIM_LABEL: Final = "dpf-async/claim"
"""Label of every Lease that is a claim, with value "dpunode"."""

CLAIM_SELECTOR: Final = f"{CLAIM_LABEL}=dpunode"

_PREFIX: Final = "dpf-async-"
_LONGEST_NAME: Final = 253
"""Characters of an object's name (Kubernetes object names)."""

_RENEWALS: Final = 3
"""How often a lease is renewed within its duration (chosen: two renewals may fail before it runs out)."""


@dataclass(frozen=True, slots=True)
class Claims:
    """How a client claims nodes before it works on what DPF asks about them; see DPFClient.

    Attributes:
        holder: who we are, for whoever reads the Lease; empty means the name of this machine. Every client that is
            entered adds something of its own, so a process that is started again does not take itself for the one
            that died.
        lease_seconds: after how long without a sign of life the next one takes over. It is renewed three times as
            often. 15 is what Kubernetes' own components use.

    Raises:
        UsageError: a lease lasts a second at least, and a holder's name has 200 characters at most.
    """

    holder: str = ""
    lease_seconds: int = 15

    def __post_init__(self) -> None:
        if self.lease_seconds < 1:
            raise UsageError(f"lease_seconds is {self.lease_seconds}: a lease lasts a second at least")
        if len(self.holder) > 200:
            raise UsageError(
                f"holder has {len(self.holder)} characters: 200 are the limit, give it a shorter name"
            )


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody began to work on a request and did not answer it: it died, failed, or lost its claim.

    Attributes:
        number: which attempt at this request it was; the first is 1.
        holder: who it was.
        begun: when, by the clock of its machine.
        finished: when its work was done; None if it was not, as far as is known. The host has been rebooted then, and
            only the answer is missing.
    """

    number: int
    holder: str
    begun: datetime
    finished: datetime | None = None


class _Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """An attempt as an annotation of the lease tells it."""

    request: str
    number: int
    holder: str
    begun: datetime
    finished: datetime | None = None


def lease_name(node: str) -> str:
    """The name of the Lease of a DPUNode; a name that gets too long ends with a digest of the node's."""
    name = f"{_PREFIX}{node}"
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(node.encode()).hexdigest()[:16]
    return f"{name[: _LONGEST_NAME - len(digest) - 1].rstrip('.-')}-{digest}"


class Claim:
    """The claim on one node, for as long as a block runs. A request has it as `claim`.

    Attributes:
        node: name of the DPUNode.
        holder: who we are, as the Lease says it.
        earlier: the last attempt at this very request, if there was one; the host may have been rebooted already.
    """

    def __init__(self, leases: ResourceClient[Lease], view: NodeView, holder: str, seconds: int) -> None:
        self.node: str = view.name
        self.holder = holder
        self.earlier: Attempt | None = None
        self._leases = leases
        self._name = lease_name(view.name)
        self._owners: tuple[OwnerReference, ...] = ()
        if view.exists:
            uid = UID(view.uid)
            self._owners = (
                OwnerReference(api_version=DPUNode.API_VERSION, kind=DPUNode.KIND, name=view.name, uid=uid),
            )
        self._seconds = seconds
        self._version = ""
        self._until = -math.inf
        self._records: dict[str, str | None] = {}
        """Annotations of ours; None takes one off."""
        self._found: dict[str, str] = {}
        """Annotations as they were when the lease was taken."""
        self._taken_by: str | None = None
        self._unsure = False
        """A write that would make the lease ours is under way, or was cut off."""
        self._releasing = False
        self._writing = anyio.Lock()
        self._changed = anyio.Event()

    @property
    def held(self) -> bool:
        """Nobody else can have it now: it was renewed in time.

        False may turn to True again: when the server could not be reached for longer than the lease lasts, and nobody
        took it meanwhile.
        """
        return self._taken_by is None and anyio.current_time() < self._until

    @property
    def taken_by(self) -> str | None:
        """Who took it from us, as far as is known; None while nobody did. Empty: it was taken, and given back."""
        return self._taken_by

    async def until_lost(self) -> None:
        """Wait until it is not held any more. Whether to go on then is for the body to say: nobody cuts it short."""
        while self.held:
            with anyio.move_on_after(self._until - anyio.current_time()):
                await self._changed.wait()

    # What a handshake does with it.

    async def take(self, found: Lease | None) -> bool:
        """Take the lease in the state in which it was found; False if it is in another one by now."""
        now, sent = _now(), anyio.current_time()
        before = LeaseSpec() if found is None else found.spec
        spec = LeaseSpec(
            holder_identity=self.holder,
            lease_duration_seconds=self._seconds,
            acquire_time=now,
            renew_time=now,
            lease_transitions=(before.lease_transitions or 0) + 1,
        )
        lease = Lease(metadata=self._metadata(), spec=spec)
        self._unsure = True
        try:
            if found is None:
                lease = await self._leases.create(lease)
            else:
                lease = await self._patch(lease, found.metadata.resource_version)
        except (AlreadyExists, Conflict, NotFound):
            self._unsure = False
            return False
        self._unsure = False
        self._took(lease, sent)
        self._found = dict(lease.metadata.annotations)
        if before.holder_identity not in (None, "", self.holder):
            log.info(
                "claim_taken_over", node=self.node, holder=self.holder, taken_from=before.holder_identity
            )
        return True

    async def begin(self, question: str, request: str) -> bool:
        """Record that work on a request begins; False if the claim is lost.

        Afterwards `earlier` tells of the attempt before this one.

        Args:
            question: one of the two, in words.
            request: tells this request from others of the same question.
        """
        before = _read(self._found.get(_key(question), ""))
        number = 1
        if before is not None and before.request == request:
            self.earlier = Attempt(before.number, before.holder, before.begun, before.finished)
            number += before.number
        self._mark(question, _Record(request, number, self.holder, datetime.now(UTC)))
        return await self._write()

    async def finish(self, question: str) -> bool:
        """Record that the work is done, and with it that nobody else had the claim until now; False if it is lost."""
        record = _read(self._records.get(_key(question)) or "")
        if record is not None:
            self._mark(question, msgspec.structs.replace(record, finished=datetime.now(UTC)))
        return await self._write()

    def settle(self, question: str) -> None:
        """The request does not stand any more: its record goes when the claim does."""
        self._records[_key(question)] = None

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Renew the lease for as long as the block runs, however long, and release it then."""
        try:
            async with background_tasks() as tasks:
                tasks.start_soon(self._renew)
                yield
        finally:
            await self.release()

    async def release(self) -> None:
        """Clear the holder, so that the next one need not wait. If that fails, the lease runs out by itself."""
        self._releasing = True
        reason = ""
        with anyio.move_on_after(GRACE, shield=True) as grace:
            try:
                await retry_transient(partial(self._write, release=True), self._delayed)
            except DPFError as error:
                reason = str(error)
        self._until = -math.inf
        self._tell()
        if grace.cancelled_caught:
            reason = f"not taken within {GRACE:g} s"
        if reason:
            log.warning("claim_not_released", node=self.node, holder=self.holder, reason=reason)

    async def renounce(self) -> None:
        """Cut off in the middle of taking it, we may have it all the same: give it back."""
        if not self._unsure:
            return
        with anyio.move_on_after(GRACE, shield=True):
            try:
                lease = await self._leases.get(self._name)
            except DPFError:
                # It runs out by itself, if it is ours at all.
                return
            if lease.spec.holder_identity == self.holder:
                self._version = lease.metadata.resource_version
                await self.release()

    # Writing.

    async def _renew(self) -> None:
        interval = self._seconds / _RENEWALS
        while self._taken_by is None:
            await anyio.sleep(interval)
            try:
                with anyio.move_on_after(interval):
                    await self._write()
            except DPFError as error:
                log.warning("claim_not_renewed", node=self.node, holder=self.holder, reason=str(error))

    async def _write(self, *, release: bool = False) -> bool:
        """Write the lease as ours, or as nobody's, records included; False if somebody else has it, or had it."""
        async with self._writing:
            while self._taken_by is None:
                sent = anyio.current_time()
                lease = Lease(metadata=self._metadata(), spec=LeaseSpec(renew_time=_now()))
                try:
                    self._took(await self._patch(lease, self._version, release=release), sent)
                except Conflict:
                    await self._look_again()
                except NotFound:
                    if release:
                        return True
                    await self._restore()
                else:
                    return True
        return False

    def _delayed(self, error: DPFError) -> None:
        log.warning("claim_delayed", node=self.node, holder=self.holder, reason=str(error))

    async def _look_again(self) -> None:
        """The lease is not what we wrote last: a write of ours was cut off, somebody edited it, or somebody has it."""
        try:
            lease = await self._leases.get(self._name)
        except NotFound:
            return
        if lease.spec.holder_identity == self.holder:
            self._version = lease.metadata.resource_version
        else:
            self._lose(lease.spec.holder_identity or "")

    async def _restore(self) -> None:
        """Somebody deleted the lease: make it anew, unless so late that another one may have had it meanwhile."""
        if anyio.current_time() >= self._until:
            self._lose("")
        elif not await self.take(None):
            await self._look_again()

    async def _patch(self, lease: Lease, version: str, *, release: bool = False) -> Lease:
        wire = lease.to_wire()
        metadata = {**wire["metadata"], "resourceVersion": version, "annotations": self._records}
        spec = {**wire["spec"], **({"holderIdentity": None} if release else {})}
        return await self._leases.patch(self._name, {"metadata": metadata, "spec": spec})

    def _metadata(self) -> ObjectMeta:
        return ObjectMeta(
            name=self._name,
            labels={CLAIM_LABEL: "dpunode"},
            annotations={key: record for key, record in self._records.items() if record is not None},
            owner_references=self._owners,
        )

    def _took(self, lease: Lease, sent: float) -> None:
        self._version = lease.metadata.resource_version
        # From before it was sent: whoever watches the lease counts from when it was written, or later.
        self._until = sent + self._seconds
        self._tell()

    def _lose(self, taken_by: str) -> None:
        self._taken_by = taken_by
        if not self._releasing:
            log.warning("claim_lost", node=self.node, holder=self.holder, taken_by=taken_by)
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def _mark(self, question: str, record: _Record) -> None:
        self._records[_key(question)] = msgspec.json.encode(record).decode()


def _key(question: str) -> str:
    return f"dpf-async/{question.replace(' ', '-')}"


def _read(record: str) -> _Record | None:
    """A record; None if there is none, or none that can be read: it is advice, and nothing hangs on it."""
    if not record:
        return None
    try:
        return msgspec.json.decode(record, type=_Record)
    except UNREADABLE:
        return None


def _now() -> str:
    return format_time(datetime.now(UTC), microseconds=True)
