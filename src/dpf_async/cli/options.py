"""Options and arguments that several verbs share."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from dpf_async import Claims, DPFClient
from dpf_async._client.hosts import FORCE_GRACE_PERIOD
from dpf_async._hosts.fault_grace import GRACE
from dpf_async.models import known

if TYPE_CHECKING:
    from dpf_async._hosts.stale_holds import IfReleased

DEFAULT_NAMESPACE: Final = known.DPF_NAMESPACE
DEFAULT_GRACE_PERIOD: Final = FORCE_GRACE_PERIOD
DEFAULT_GRACE: Final = GRACE

_UNITS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)([smh]?)")


def duration(text: str | float) -> float:
    """Parse "90", "90s", "30m" or "2h" into seconds; a default is in seconds already."""
    match = _DURATION.fullmatch(str(text))
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a duration such as 90s, 30m or 2h")
    return float(match[1]) * _UNITS[match[2]]


class Output(StrEnum):
    """The format of a result."""

    TABLE = "table"
    JSON = "json"

    @property
    def is_json(self) -> bool:
        """Whether it is for a program."""
        return self is Output.JSON


class Released(StrEnum):
    """What to do if a hold was released before a DPU requested it."""

    REQUEST_AGAIN = "request-again"
    REFUSE = "refuse"
    ACCEPT = "accept"

    @property
    def choice(self) -> IfReleased:
        """The value that the library expects."""
        choices: dict[Released, IfReleased] = {
            Released.REQUEST_AGAIN: "request_again",
            Released.REFUSE: "refuse",
            Released.ACCEPT: "accept",
        }
        return choices[self]


KubeconfigOption = Annotated[
    Path | None,
    typer.Option(
        "--kubeconfig",
        help="Kubeconfig; default: $KUBECONFIG, ~/.kube/config, or the service account of the pod.",
    ),
]
ContextOption = Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig.")]
NamespaceOption = Annotated[str, typer.Option("--namespace", "-n", help="Namespace of DPF and its objects.")]
OutputOption = Annotated[
    Output, typer.Option("--output", "-o", help="Format on stdout: a table, or one JSON document.")
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        parser=duration,
        metavar="DURATION",
        help="Stop waiting after 90s, 30m or 2h and report what is missing; default: no limit.",
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not prompt for confirmation.")]
SkipDrainOption = Annotated[
    bool,
    typer.Option("--yes", "-y", help="Skip the drain confirmation; reboots are still confirmed."),
]
RebootCommandOption = Annotated[
    str | None,
    typer.Option(
        "--reboot-command",
        metavar="COMMAND",
        help="Command that power-cycles a host and returns when that is done. {node} in it, and $DPF_NODE, is the name"
        " of the DPUNode; it runs without a shell. Default: prompt on the terminal.",
    ),
]
DrainCommandOption = Annotated[
    str | None,
    typer.Option(
        "--drain-command",
        metavar="COMMAND",
        help="Command that drains a host, run like --reboot-command. Default: prompt on the terminal.",
    ),
]
ClaimOption = Annotated[
    bool,
    typer.Option(
        "--claim",
        help="Claim each host by a Lease before it is drained or rebooted; of all processes that claim, one at a time"
        " works on a host.",
    ),
]
ServicesOption = Annotated[
    bool, typer.Option("--services", help="Also wait until the services on the DPUs are ready.")
]
FinishOthersOption = Annotated[
    bool,
    typer.Option(
        "--finish-others",
        help="When a DPU fails, continue with the other DPUs of the host before the flow fails.",
    ),
]
ReleasedOption = Annotated[
    Released,
    typer.Option(
        "--if-released",
        help="If the hold of a host was released before a DPU requested it: have DPF request it again, refuse, or"
        " accept that the host may still be disrupted.",
    ),
]
GraceOption = Annotated[
    float,
    typer.Option(
        "--grace",
        parser=duration,
        metavar="DURATION",
        show_default="300s",
        help="How long a DPUDevice may be faulty, for example with a rejected BMC password, before its host fails.",
    ),
]
MaxParallelOption = Annotated[
    int | None,
    typer.Option(
        "--max-parallel", metavar="N", min=1, help="Maximum number of hosts in progress; default: all."
    ),
]
ForceOption = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Remove DPF's finalizers that remain after --grace-period, and report what is left behind.",
    ),
]
GracePeriodOption = Annotated[
    float,
    typer.Option(
        "--grace-period",
        parser=duration,
        metavar="DURATION",
        show_default="60s",
        help="With --force, instead of --timeout: how long DPF may take to delete before finalizers are removed.",
    ),
]
WaitTerminatingOption = Annotated[
    bool,
    typer.Option(
        "--wait-terminating",
        help="Wait for objects of the same name that are being deleted, instead of failing.",
    ),
]
SiteArgument = Annotated[Path, typer.Argument(help="Site file, such as examples/site.yaml.")]
HostsArgument = Annotated[Path, typer.Argument(help="Host file, such as examples/hosts.yaml.")]
TroubleOption = Annotated[
    list[str] | None,
    typer.Option(
        "--trouble",
        help="Simulated trouble by name, for everything or for one device or node: reboots=3, "
        "bmc_password_wrong@device-…; may be repeated. An unknown name lists the known ones.",
    ),
]


def client(kubeconfig: Path | None, context: str | None, namespace: str, *, claim: bool = False) -> DPFClient:
    """A client, not entered, for the cluster that the options name."""
    return DPFClient(
        namespace=namespace, kubeconfig=kubeconfig, context=context, claims=Claims() if claim else None
    )
