"""The two requests of DPF as values: reboot this host, and permit that this host is disrupted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dpf_async._handshakes.claims import Attempt, Claim
    from dpf_async._transitions.views import NodeView


@dataclass(frozen=True, slots=True)
class RebootRequest:
    """DPF requests an external reboot of a host.

    Attributes:
        node: name of the DPUNode.
        dpus: the DPUs in phase Rebooting; the reboot completes for all of them.
        view: the view in which the request was pending.
        claim: this client's claim on the node; None if it does not claim.
    """

    node: str
    dpus: tuple[str, ...]
    view: NodeView
    claim: Claim | None = None

    @property
    def earlier(self) -> Attempt | None:
        """The last attempt at this request, after which the host may have been rebooted; known only with claims."""
        return None if self.claim is None else self.claim.earlier


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """DPF holds a node until it is permitted to disrupt it.

    Attributes:
        node: name of the DPUNode.
        maintenance: name of the DPUNodeMaintenance with the hold.
        dpus: names of the node's DPUs.
        view: the view in which the hold was pending.
        claim: this client's claim on the node; None if it does not claim.
    """

    node: str
    maintenance: str
    dpus: tuple[str, ...]
    view: NodeView
    claim: Claim | None = None

    @property
    def earlier(self) -> Attempt | None:
        """The last attempt at this request, after which the host may be drained; known only with claims."""
        return None if self.claim is None else self.claim.earlier
