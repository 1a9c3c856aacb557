"""A simulated DPF site: an embedded Kubernetes API server and a simulated DPF operator with its hardware.

`Simulator` runs both in one event loop. The operator also runs as a separate process:
`python -m dpf_async.sim.operator`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dpf_async.sim.operator import Profile
    from dpf_async.sim.simulator import Simulator

__all__ = ["Profile", "Simulator"]


def __getattr__(name: str) -> Any:  # Any: an attribute of this module
    # Imported on first use: the operator does not need the libraries of the server, nor the server those of the client.
    if name == "Simulator":
        from dpf_async.sim.simulator import Simulator  # noqa: PLC0415

        return Simulator
    if name == "Profile":
        from dpf_async.sim.operator import Profile  # noqa: PLC0415

        return Profile
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
