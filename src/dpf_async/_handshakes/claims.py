"""Claims: among all clients that claim, in any processes, one at a time works on the requests of DPF for a node.

A Lease per DPUNode records the holder. Every decision from a Lease is a write at the resourceVersion that was read, so
two clients never decide the same. Clocks of different machines are not compared: another client's Lease has expired
when it was not written for its whole duration by the clock of the client that watches it (as in client-go's leader
election). A BMC does not know Leases: a client that lost its claim may not have noticed yet, and power-cycle a host at
the same time as the next holder. The answer is exact: it is written at a version of the object that was read before the
claim was last confirmed, so no client answers a request that another client has answered.
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
"""Label of every Lease that is a claim; its value is "dpunode"."""

CLAIM_SELECTOR: Final = f"{CLAIM_LABEL}=dpunode"

_PREFIX: Final = "dpf-async-"
_LONGEST_NAME: Final = 253
"""Characters of an object's name (Kubernetes object names)."""

_RENEWALS: Final = 3
"""How often a Lease is renewed within its duration (chosen: two renewals may fail before it expires)."""


@dataclass(frozen=True, slots=True)
class Claims:
    """How a client claims nodes before it works on the requests of DPF for them; see DPFClient.

    Attributes:
        holder: the name of this client in the Lease; empty means the name of this machine. Every client that is entered
            adds a random suffix, so a restarted process does not treat the Lease of its predecessor as its own.
        lease_seconds: seconds after which another client acquires a Lease that was not renewed. It is renewed three
            times within that time. 15 is what Kubernetes' own components use.

    Raises:
        UsageError: lease_seconds is less than 1, or holder is longer than 200 characters.
    """

    holder: str = ""
    lease_seconds: int = 15

    def __post_init__(self) -> None:
        if self.lease_seconds < 1:
            raise UsageError(f"lease_seconds is {self.lease_seconds}: it must be 1 or more")
        if len(self.holder) > 200:
            raise UsageError(
                f"holder has {len(self.holder)} characters: at most 200 are allowed, use a shorter name"
            )


@dataclass(frozen=True, slots=True)
class Attempt:
    """A client began to work on a request and did not answer it: it died, failed, or lost its claim.

    Attributes:
        number: of this attempt at the request; the first is 1.
        holder: the client.
        begun: when it began, by the clock of its machine.
        finished: when its work was done, after which only the answer was missing; None if that is not recorded.
    """

    number: int
    holder: str
    begun: datetime
    finished: datetime | None = None


class _Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """An attempt as an annotation of the Lease records it."""

    request: str
    number: int
    holder: str
    begun: datetime
    finished: datetime | None = None


def lease_name(node: str) -> str:
    """The name of the Lease of a DPUNode; a name that would be too long ends with a digest of the node's name."""
    name = f"{_PREFIX}{node}"
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(node.encode()).hexdigest()[:16]
    return f"{name[: _LONGEST_NAME - len(digest) - 1].rstrip('.-')}-{digest}"


class Claim:
    """The claim on one node while a block runs. A request has it as `claim`.

    Attributes:
        node: name of the DPUNode.
        holder: the identity of this client in the Lease.
        earlier: the last attempt at this request, if there was one; the host may have been rebooted already.
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
        self._expires_at = -math.inf
        self._records: dict[str, str | None] = {}
        """Annotations that this client writes; None removes one."""
        self._found_annotations: dict[str, str] = {}
        """Annotations as they were when the Lease was acquired."""
        self._taken_by: str | None = None
        self._maybe_acquired = False
        """A write that acquires the Lease is in progress, or was interrupted."""
        self._releasing = False
        self._writing = anyio.Lock()
        self._changed = anyio.Event()

    @property
    def held(self) -> bool:
        """No other client can have it now: it was renewed in time.

        False may become True again: when the server could not be reached for longer than the Lease lasts, and no client
        acquired it meanwhile.
        """
        return self._taken_by is None and anyio.current_time() < self._expires_at

    @property
    def taken_by(self) -> str | None:
        """The client that acquired it from this one; None while none did. Empty: it was acquired and released."""
        return self._taken_by

    async def until_lost(self) -> None:
        """Wait until it is not held any more. The block decides whether to continue: it is not interrupted."""
        while self.held:
            with anyio.move_on_after(self._expires_at - anyio.current_time()):
                await self._changed.wait()

    # For handshakes.

    async def acquire(self, found: Lease | None) -> bool:
        """Acquire the Lease in the state in which it was found; False if its state has changed since."""
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
        self._maybe_acquired = True
        try:
            if found is None:
                lease = await self._leases.create(lease)
            else:
                lease = await self._patch(lease, found.metadata.resource_version)
        except (AlreadyExists, Conflict, NotFound):
            self._maybe_acquired = False
            return False
        self._maybe_acquired = False
        self._renewed(lease, sent)
        self._found_annotations = dict(lease.metadata.annotations)
        if before.holder_identity not in (None, "", self.holder):
            log.info(
                "claim_taken_over", node=self.node, holder=self.holder, taken_from=before.holder_identity
            )
        return True

    async def begin(self, handshake: str, request: str) -> bool:
        """Record that work on a request begins; False if the claim is lost.

        Afterwards `earlier` is the attempt before this one.

        Args:
            handshake: name of the handshake: "external reboot".
            request: distinguishes this request from others of the same handshake.
        """
        before = _read(self._found_annotations.get(_key(handshake), ""))
        number = 1
        if before is not None and before.request == request:
            self.earlier = Attempt(before.number, before.holder, before.begun, before.finished)
            number += before.number
        self._set_record(handshake, _Record(request, number, self.holder, datetime.now(UTC)))
        return await self._write()

    async def finish(self, handshake: str) -> bool:
        """Record that the work is done and that no other client had the claim until now; False if it is lost."""
        record = _read(self._records.get(_key(handshake)) or "")
        if record is not None:
            self._set_record(handshake, msgspec.structs.replace(record, finished=datetime.now(UTC)))
        return await self._write()

    def discard_record(self, handshake: str) -> None:
        """The request is not pending any more: its record is removed when the claim is released."""
        self._records[_key(handshake)] = None

    @asynccontextmanager
    async def renewing(self) -> AsyncIterator[None]:
        """Renew the Lease while the block runs, without a limit, and release it afterwards."""
        try:
            async with background_tasks() as tasks:
                tasks.start_soon(self._renew)
                yield
        finally:
            await self.release()

    async def release(self) -> None:
        """Clear the holder, so that the next client does not wait. If that fails, the Lease expires."""
        self._releasing = True
        reason = ""
        with anyio.move_on_after(GRACE, shield=True) as grace:
            try:
                await retry_transient(partial(self._write, release=True), self._delayed)
            except DPFError as error:
                reason = str(error)
        self._expires_at = -math.inf
        self._notify()
        if grace.cancelled_caught:
            reason = f"not accepted within {GRACE:g} s"
        if reason:
            log.warning("claim_not_released", node=self.node, holder=self.holder, reason=reason)

    async def release_if_acquired(self) -> None:
        """Release the Lease if an interrupted write acquired it."""
        if not self._maybe_acquired:
            return
        with anyio.move_on_after(GRACE, shield=True):
            try:
                lease = await self._leases.get(self._name)
            except DPFError:
                # If this client holds it, it expires.
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
        """Renew or release the Lease and write the records; False if another client has acquired it."""
        async with self._writing:
            while self._taken_by is None:
                sent = anyio.current_time()
                lease = Lease(metadata=self._metadata(), spec=LeaseSpec(renew_time=_now()))
                try:
                    self._renewed(await self._patch(lease, self._version, release=release), sent)
                except Conflict:
                    await self._reread()
                except NotFound:
                    if release:
                        return True
                    await self._restore()
                else:
                    return True
        return False

    def _delayed(self, error: DPFError) -> None:
        log.warning("claim_delayed", node=self.node, holder=self.holder, reason=str(error))

    async def _reread(self) -> None:
        """Read a Lease that is not as this client wrote it: a write was interrupted, or another client changed it."""
        try:
            lease = await self._leases.get(self._name)
        except NotFound:
            return
        if lease.spec.holder_identity == self.holder:
            self._version = lease.metadata.resource_version
        else:
            self._lose(lease.spec.holder_identity or "")

    async def _restore(self) -> None:
        """Create a deleted Lease again, unless it expired: then another client may have held it meanwhile."""
        if anyio.current_time() >= self._expires_at:
            self._lose("")
        elif not await self.acquire(None):
            await self._reread()

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

    def _renewed(self, lease: Lease, sent: float) -> None:
        self._version = lease.metadata.resource_version
        # From before it was sent: a client that watches the Lease counts from when it was written, or later.
        self._expires_at = sent + self._seconds
        self._notify()

    def _lose(self, taken_by: str) -> None:
        self._taken_by = taken_by
        if not self._releasing:
            log.warning("claim_lost", node=self.node, holder=self.holder, taken_by=taken_by)
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def _set_record(self, handshake: str, record: _Record) -> None:
        self._records[_key(handshake)] = msgspec.json.encode(record).decode()


def _key(handshake: str) -> str:
    return f"dpf-async/{handshake.replace(' ', '-')}"


def _read(record: str) -> _Record | None:
    """A record; None if there is none, or it cannot be decoded: it is advice, and no decision depends on it."""
    if not record:
        return None
    try:
        return msgspec.json.decode(record, type=_Record)
    except UNREADABLE:
        return None


def _now() -> str:
    return format_time(datetime.now(UTC), microseconds=True)
