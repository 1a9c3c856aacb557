"""ClaimAcquisition: how a client gets a claim. It takes a lease that is free, and waits for one that is held."""

from __future__ import annotations

import secrets
import socket
from typing import TYPE_CHECKING, Any

import anyio

from dpf_async._base.retry import RETRY_INTERVAL, TRANSIENT
from dpf_async._base.tasks import background_tasks
from dpf_async._handshakes.claims import CLAIM_LABEL, Claim, Claims, lease_name
from dpf_async._log import log
from dpf_async._transitions.hub import Wait
from dpf_async._transitions.levels import Level
from dpf_async.errors import Forbidden, NotFound

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dpf_async._api.codec import ObjectState
    from dpf_async._api.resource import ResourceClient
    from dpf_async._readers.waits import Deadline
    from dpf_async._session.handles import ObjectCache
    from dpf_async._transitions.views import NodeView
    from dpf_async.models import Lease


class ClaimAcquisition:
    """One client, as whoever claims sees it."""

    def __init__(
        self,
        claims: Claims,
        leases: ResourceClient[Lease],
        picture: Callable[[], Awaitable[ObjectCache[Lease, Any]]],  # Any: a Lease's view is its ObjectState
    ) -> None:
        """`picture` shows the leases that are claims; it is asked for when somebody else has one."""
        self.claims = claims
        self.identity: str = f"{claims.holder or socket.gethostname()}_{secrets.token_hex(4)}"
        self._leases = leases
        self._picture = picture

    async def acquire(
        self, view: NodeView, withdrawn: Wait[NodeView], deadline: Deadline
    ) -> Claim | str | None:
        """Wait for the claim on a node, by watching its lease.

        Args:
            view: of the node.
            withdrawn: when it is over, there is nothing to claim the node for.
            deadline: how long to wait for somebody else; a free lease is taken in any case.

        Returns:
            The claim, which is to be kept or released; None if the request was withdrawn; or, in words, what stood in
            the way until the time was over.

        Raises:
            Forbidden: a permission for leases is missing; a note says which are needed.
            APIError, DecodeError: the lease cannot be read or written for another lasting reason.
        """
        claim = Claim(self._leases, view, self.identity, self.claims.lease_seconds)
        obstacles = ["it could not be claimed in time"]
        taken = False
        try:
            with anyio.move_on_after(deadline.for_one_check):
                taken = await self._take(claim, withdrawn, obstacles, patient=not deadline.checks_once)
        except Forbidden as error:
            error.add_note(
                "claims need get, list, watch, create and patch of leases in API group coordination.k8s.io: the rule"
                " for leases in deploy/rbac.yaml; a DPFClient without claims= needs none of it"
            )
            raise
        finally:
            if not taken:
                await claim.renounce()
        if taken:
            return claim
        return None if withdrawn.is_decided else obstacles[-1]

    async def _take(
        self, claim: Claim, withdrawn: Wait[NodeView], obstacles: list[str], *, patient: bool
    ) -> bool:
        while not withdrawn.is_decided:
            try:
                found = await self._lease_of(claim.node)
                if found is not None and not _free(found, self.identity):
                    obstacles.append(f"{found.spec.holder_identity} works on it")
                    if not patient:
                        return False
                    free, found = await self._until_free(found, withdrawn)
                    if not free:
                        break
                if await claim.take(found):
                    return True
            except TRANSIENT as error:
                obstacles.append(str(error))
                log.warning("claim_delayed", node=claim.node, holder=self.identity, reason=str(error))
                await anyio.sleep(RETRY_INTERVAL)
        return False

    async def _lease_of(self, node: str) -> Lease | None:
        try:
            return await self._leases.get(lease_name(node))
        except NotFound:
            return None

    async def _until_free(self, lease: Lease, withdrawn: Wait[NodeView]) -> tuple[bool, Lease | None]:
        """The state in which somebody else's lease may be taken: released, gone (None), or stood still for too long.

        False if there is nothing to take it for any more.
        """
        while not _free(lease, self.identity):
            patience = lease.spec.lease_duration_seconds or self.claims.lease_seconds
            written: Wait[Any] = Wait(_another_version_than(lease), lambda _: None)
            with anyio.move_on_after(patience):
                await self._first_of(written, withdrawn, lease)
            if withdrawn.is_decided or not written.is_decided:
                return not withdrawn.is_decided, lease
            state: ObjectState[Lease] | None = await written.result()
            if state is None:
                return True, None
            lease = state.object
        return True, lease

    async def _first_of(self, written: Wait[Any], withdrawn: Wait[NodeView], lease: Lease) -> None:
        """Wait until one of the two is over."""
        over = anyio.Event()
        async with background_tasks() as tasks:
            tasks.start_soon(_tell, withdrawn, over)
            picture = await self._picture()
            await picture.reflector.synced()
            await picture.reflector.wait_for_version(lease.metadata.resource_version)
            picture.hub.add_wait(lease.name, written)
            try:
                # A lease that lost our label is in no picture of ours: then only time tells.
                if CLAIM_LABEL in lease.metadata.labels:
                    written.evaluate(picture.view(lease.name))
                    tasks.start_soon(_tell, written, over)
                await over.wait()
            finally:
                picture.hub.remove_wait(lease.name, written)


async def _tell(wait: Wait[Any], event: anyio.Event) -> None:  # Any: whatever it waits for
    await wait.result()
    event.set()


def _another_version_than(lease: Lease) -> Level[Any]:  # Any: see ClaimAcquisition
    version = lease.metadata.resource_version
    return Level("written again", lambda state: state is None or state.resource_version != version)


def _free(lease: Lease, identity: str) -> bool:
    # Ours: a write of ours was cut off, and taken all the same.
    return lease.spec.holder_identity in (None, "", identity)
