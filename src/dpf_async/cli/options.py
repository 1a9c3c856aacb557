"""Options and arguments that several verbs share."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from dpf_async import Claims, DPFClient
from dpf_async._client import FORCE_GRACE_PERIOD
from dpf_async._hosts.fault_grace import GRACE
from dpf_async.models import known

if TYPE_CHECKING:
    from dpf_async._hosts.stale_holds import IfReleased

DEFAULT_NAMESPACE: Final = known.DPF_NAMESPACE
DEFAULT_PATIENCE: Final = FORCE_GRACE_PERIOD
DEFAULT_GRACE: Final = GRACE

_UNITS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)([smh]?)")


def duration(text: str | float) -> float:
    """Seconds, from "90", "90s", "30m" or "2h"; a default is seconds already."""
    found = _DURATION.fullmatch(str(text))
    if found is None:
        raise typer.BadParameter(f"{text!r} is no duration: say 90s, 30m or 2h")
    return float(found[1]) * _UNITS[found[2]]


class Output(StrEnum):
    """How something is shown."""

    TABLE = "table"
    JSON = "json"

    @property
    def is_json(self) -> bool:
        """For a program."""
        return self is Output.JSON


class Released(StrEnum):
    """What is done where a hold was released before a DPU asked."""

    ASK_AGAIN = "ask-again"
    REFUSE = "refuse"
    ACCEPT = "accept"

    @property
    def choice(self) -> IfReleased:
        """As the library says it."""
        choices: dict[Released, IfReleased] = {
            Released.ASK_AGAIN: "ask_again",
            Released.REFUSE: "refuse",
            Released.ACCEPT: "accept",
        }
        return choices[self]


KubeconfigOption = Annotated[
    Path | None,
    typer.Option(
        "--kubeconfig", help="Kubeconfig; else $KUBECONFIG, ~/.kube/config, or the pod's own files."
    ),
]
ContextOption = Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig.")]
NamespaceOption = Annotated[str, typer.Option("--namespace", "-n", help="Namespace of DPF and its objects.")]
OutputOption = Annotated[
    Output, typer.Option("--output", "-o", help="For a person, or for a program: one document on stdout.")
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        parser=duration,
        metavar="DURATION",
        help="Stop waiting after 90s, 30m or 2h, and say what is missing; else as long as it takes.",
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask on the terminal: it is meant so.")]
FreeOption = Annotated[
    bool,
    typer.Option(
        "--yes", "-y", help="Every host may be disturbed: do not ask. It takes no host for rebooted."
    ),
]
RebootCommandOption = Annotated[
    str | None,
    typer.Option(
        "--reboot-command",
        metavar="COMMAND",
        help="Reboots a host: {node} in it, and $DPF_NODE, is its DPUNode. It runs without a shell, and returns when"
        " the host was power-cycled. Without it, the terminal is asked.",
    ),
]
DrainCommandOption = Annotated[
    str | None,
    typer.Option(
        "--drain-command",
        metavar="COMMAND",
        help="Makes a host free to be disturbed, as --reboot-command reboots it. Without it, the terminal is asked.",
    ),
]
ClaimOption = Annotated[
    bool,
    typer.Option(
        "--claim",
        help="Claim each host by a Lease before it is drained or rebooted, as the replicas of a worker do: of all that"
        " claim, one at a time works on it.",
    ),
]
ServicesOption = Annotated[
    bool, typer.Option("--services", help="Wait until the services on the DPUs are ready as well.")
]
FinishOthersOption = Annotated[
    bool,
    typer.Option(
        "--finish-others", help="When a DPU fails, bring the other DPUs of the host as far as they get first."
    ),
]
ReleasedOption = Annotated[
    Released,
    typer.Option(
        "--if-released",
        help="Where the hold of a host was released before a DPU asked for it: have DPF ask again, refuse, or go on, as"
        " if the host may still be disturbed.",
    ),
]
GraceOption = Annotated[
    float,
    typer.Option(
        "--grace",
        parser=duration,
        metavar="DURATION",
        show_default="300s",
        help="Time for which a DPUDevice may be faulty, as by a refused BMC password, before its host fails.",
    ),
]
MaxParallelOption = Annotated[
    int | None,
    typer.Option(
        "--max-parallel", metavar="N", min=1, help="Hosts in progress at a time, at most; else all."
    ),
]
ForceOption = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Take off the finalizers of DPF that still hold after --patience, and say what is left.",
    ),
]
PatienceOption = Annotated[
    float,
    typer.Option(
        "--patience",
        parser=duration,
        metavar="DURATION",
        show_default="60s",
        help="With --force, in place of --timeout: time for the orderly way.",
    ),
]
WaitTerminatingOption = Annotated[
    bool,
    typer.Option(
        "--wait-terminating", help="Wait for objects of the same name that are being deleted, not refuse."
    ),
]
SiteArgument = Annotated[Path, typer.Argument(help="Description of the site, see examples/site.yaml.")]
HostsArgument = Annotated[Path, typer.Argument(help="Description of its hosts, see examples/hosts.yaml.")]
TroubleOption = Annotated[
    list[str] | None,
    typer.Option(
        "--trouble",
        help="A trouble by name, for everything or for one device or node: reboots=3, "
        "bmc_password_wrong@device-…; may be repeated. An unknown name lists the known ones.",
    ),
]


def client(kubeconfig: Path | None, context: str | None, namespace: str, *, claim: bool = False) -> DPFClient:
    """The client for the cluster that the options name; not entered."""
    return DPFClient(
        namespace=namespace, kubeconfig=kubeconfig, context=context, claims=Claims() if claim else None
    )
