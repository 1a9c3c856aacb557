"""Simulated troubles, which are switched on and off by name while the site runs.

Written "name", "name=value", "name@target" or "name=value@target". A target is the name of a DPUDevice, a DPUNode or
a DPU (or of a BFB); without one, everything is affected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Self

from dpf_async.errors import UsageError

KNOWN: Final = {
    "agent_silent": "the agent on the DPU never reports: OS Installing ends in Error",
    "bfb_download_failed": "a BFB cannot be downloaded: phase Error",
    "bmc_password_wrong": "the BMC refuses the password: the DPUDevice is never Initialized",
    "critical_service_down": "the critical services of a DPU fail: operationalConditions, the phase stays",
    "dpu_node_not_ready": "the DPU's Node fails: condition Ready False, the phase stays",
    "install_failed": "the BMC cannot install the image: phase Error",
    "install_timeout": "the image is never transferred: phase Error after the install timeout",
    "late_sibling": "one DPU of a host requires its reboot only after the others were rebooted",
    "newer_phase": "the DPU goes through a phase that DPF v26.4 does not have",
    "nic_mode": "the DPU is in NIC mode: it requires a reboot of the host first",
    "no_reboot": "the DPU requires no reboot",
    "other_service_down": "the non-critical services of a DPU fail: operationalConditions, the phase stays",
    "reboots": "=N: the DPU requires N reboots, one after the other",
    "serial_mismatch": "the BMC reports another serial number: the DPUDevice is never Discovered",
    "service_health_unknown": "the operator cannot list the pods of a DPU: operationalConditions Unknown",
    "stuck_finalizer": "the DPUCluster cannot be reached: a deleted DPU stays Deleting",
    "watch_lag": "=SECONDS: the API server delays every watch event by that",
}
"""Every trouble and its effect."""

SERVER_TROUBLE: Final = "watch_lag"


@dataclass(frozen=True, slots=True)
class Trouble:
    """One trouble; `target` is empty if it affects everything."""

    name: str
    value: float | None = None
    target: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "name=value@target".

        Raises:
            UsageError: the text is not a trouble.
        """
        setting, _, target = text.strip().partition("@")
        name, equals, value = setting.partition("=")
        if name not in KNOWN:
            raise UsageError(f"there is no trouble {name!r}; known are: {', '.join(KNOWN)}")
        takes_value = KNOWN[name].startswith("=")
        if takes_value != bool(equals):
            form = KNOWN[name].partition(":")[0] if takes_value else ""
            raise UsageError(f"trouble {text!r}: write {name}{form}{f'@{target}' if target else ''}")
        if name == SERVER_TROUBLE and target:
            raise UsageError(f"trouble {text!r}: {name} applies to every watch and has no target")
        number = _number(name, value) if takes_value else None
        return cls(name, number, target)

    def __str__(self) -> str:
        value = "" if self.value is None else f"={self.value:g}"
        return f"{self.name}{value}{f'@{self.target}' if self.target else ''}"


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e9 or (name == "reboots" and not number.is_integer()):
        kind = "a whole number" if name == "reboots" else "a number of seconds"
        raise UsageError(f"trouble {name}={text}: the value must be {kind}, 0 or more")
    return number


class Troubles:
    """The troubles that are switched on."""

    def __init__(self, troubles: Iterable[str | Trouble] = ()) -> None:
        self._on: dict[tuple[str, str], Trouble] = {}
        self._listeners: list[Callable[[], None]] = []
        for trouble in troubles:
            self.add(trouble)

    def listen(self, listener: Callable[[], None]) -> None:
        """Call listener when a trouble is switched."""
        self._listeners.append(listener)

    def add(self, trouble: str | Trouble) -> Trouble:
        """Switch a trouble on; with the same target again, change its value.

        Raises:
            UsageError: the text is not a trouble.
        """
        one = Trouble.parse(trouble) if isinstance(trouble, str) else trouble
        self._on[one.name, one.target] = one
        self._notify()
        return one

    def remove(self, name: str | None = None, target: str | None = None) -> None:
        """Switch off the troubles of this name and this target; None means any.

        Raises:
            UsageError: no trouble has this name.
        """
        if name is not None and name not in KNOWN:
            raise UsageError(f"there is no trouble {name!r}; known are: {', '.join(KNOWN)}")
        for key in list(self._on):
            if name in (None, key[0]) and target in (None, key[1]):
                del self._on[key]
        self._notify()

    def replace(self, troubles: Iterable[str | Trouble]) -> None:
        """Switch these troubles on and all others off.

        Raises:
            UsageError: one is not a trouble; nothing was changed.
        """
        ones = [Trouble.parse(one) if isinstance(one, str) else one for one in troubles]
        self._on = {(one.name, one.target): one for one in ones}
        self._notify()

    def find(self, name: str, *targets: str) -> Trouble | None:
        """The trouble of this name that affects any of the targets; one with a target takes precedence."""
        for target in (*targets, ""):
            if (trouble := self._on.get((name, target))) is not None:
                return trouble
        return None

    def has(self, name: str, *targets: str) -> bool:
        """Whether a trouble affects any of the targets."""
        return self.find(name, *targets) is not None

    def anywhere(self, name: str) -> bool:
        """Whether a trouble of this name is on for any target."""
        return any(one.name == name for one in self._on.values())

    def __iter__(self) -> Iterator[Trouble]:
        return iter(tuple(self._on.values()))

    def _notify(self) -> None:
        for listener in self._listeners:
            listener()
