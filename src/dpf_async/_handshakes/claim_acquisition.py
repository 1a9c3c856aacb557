"""ClaimAcquisition: acquires a free Lease for a client, and waits for one that another client holds."""

from __future__ import annotations

import secrets
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from dpf_async._base.concurrency import wait_any
from dpf_async._base.retry import RETRY_INTERVAL, TRANSIENT
from dpf_async._handshakes.claims import CLAIM_LABEL, Claim, Claims, lease_name
from dpf_async._log import log
from dpf_async._transitions.hub import Wait
from dpf_async._transitions.levels import Level
from dpf_async.errors import Forbidden, NotFound

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dpf_async._api.codec import ObjectState
    from dpf_async._api.resource import ResourceClient
    from dpf_async._readers.object_cache import ObjectCache
    from dpf_async._readers.waits import Deadline
    from dpf_async._transitions.views import NodeView
    from dpf_async.models import Lease


class ClaimAcquisition:
    """Acquires claims for one client.

    Args:
        claims: how this client claims.
        leases: reads and writes Leases.
        cache: of the Leases that are claims; started when another client holds one.
    """

    def __init__(
        self,
        claims: Claims,
        leases: ResourceClient[Lease],
        cache: Callable[[], Awaitable[ObjectCache[Lease, ObjectState[Lease]]]],
    ) -> None:
        self.claims = claims
        self.identity: str = f"{claims.holder or socket.gethostname()}_{secrets.token_hex(4)}"
        self._leases = leases
        self._cache = cache

    async def acquire(
        self, view: NodeView, withdrawn: Wait[NodeView], deadline: Deadline
    ) -> Claim | str | None:
        """Wait for the claim on a node.

        Args:
            view: of the node.
            withdrawn: when it is decided, there is nothing to claim the node for.
            deadline: of the wait for another client; a free Lease is acquired in any case.

        Returns:
            The claim, which is to be kept or released; None if the request was withdrawn; or why the claim was not
            acquired before the deadline.

        Raises:
            Forbidden: a permission for Leases is missing; a note says which are needed.
            APIError, DecodeError: the Lease cannot be read or written, and a retry does not help.
        """
        claim = Claim(self._leases, view, self.identity, self.claims.lease_seconds)
        reasons = ["it could not be claimed in time"]
        acquired = False
        try:
            with anyio.move_on_after(deadline.for_one_check):
                acquired = await self._acquire(claim, withdrawn, reasons, waits=not deadline.checks_once)
        except Forbidden as error:
            error.add_note(
                "claims need get, list, watch, create and patch of leases in API group coordination.k8s.io: the rule"
                " for leases in deploy/rbac.yaml; a DPFClient without claims= needs none of it"
            )
            raise
        finally:
            if not acquired:
                await claim.release_if_acquired()
        if acquired:
            return claim
        return None if withdrawn.is_decided else reasons[-1]

    async def _acquire(
        self, claim: Claim, withdrawn: Wait[NodeView], reasons: list[str], *, waits: bool
    ) -> bool:
        while not withdrawn.is_decided:
            try:
                found = await self._find_lease(claim.node)
                if found is not None and not self._is_free(found):
                    reasons.append(f"{found.spec.holder_identity} works on it")
                    if not waits:
                        return False
                    free, found = await self._until_free(found, withdrawn)
                    if not free:
                        break
                if await claim.acquire(found):
                    return True
            except TRANSIENT as error:
                reasons.append(str(error))
                log.warning("claim_delayed", node=claim.node, holder=self.identity, reason=str(error))
                await anyio.sleep(RETRY_INTERVAL)
        return False

    async def _find_lease(self, node: str) -> Lease | None:
        try:
            return await self._leases.get(lease_name(node))
        except NotFound:
            return None

    async def _until_free(self, lease: Lease, withdrawn: Wait[NodeView]) -> tuple[bool, Lease | None]:
        """Wait until another client's Lease may be acquired: released, deleted (None), or expired.

        False if the request was withdrawn before that.
        """
        while not self._is_free(lease):
            duration = lease.spec.lease_duration_seconds or self.claims.lease_seconds
            written: Wait[ObjectState[Lease] | None] = Wait(_another_version_than(lease), lambda _: None)
            with anyio.move_on_after(duration):
                await wait_any(withdrawn.result, partial(self._until_written, written, lease))
            if withdrawn.is_decided or not written.is_decided:
                return not withdrawn.is_decided, lease
            state = await written.result()
            if state is None:
                return True, None
            lease = state.object
        return True, lease

    async def _until_written(self, written: Wait[ObjectState[Lease] | None], lease: Lease) -> object:
        """Wait until the cache shows another state of a Lease than this one."""
        cache = await self._cache()
        await cache.reflector.synced()
        await cache.reflector.wait_for_version(lease.metadata.resource_version)
        if CLAIM_LABEL not in lease.metadata.labels:
            # A Lease that lost its label is not in the cache: it is free when it expires.
            await anyio.sleep_forever()
        cache.hub.add_wait(lease.name, written)
        try:
            written.evaluate(cache.view(lease.name))
            return await written.result()
        finally:
            cache.hub.remove_wait(lease.name, written)

    def _is_free(self, lease: Lease) -> bool:
        # This client's identity: an interrupted write of it was stored.
        return lease.spec.holder_identity in (None, "", self.identity)


def _another_version_than(lease: Lease) -> Level[Any]:  # Any: a level on None, too
    version = lease.metadata.resource_version
    return Level("written again", lambda state: state is None or state.resource_version != version)
