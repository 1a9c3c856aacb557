"""Run the simulated operator as a process: python -m dpf_async.sim.operator --kubeconfig FILE."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import anyio

from dpf_async import DPFClient
from dpf_async.errors import DPFError
from dpf_async.models import known
from dpf_async.sim.operator import PROFILES, Operator, Profile, Troubles
from dpf_async.sim.operator.hardware.troubles import KNOWN, SERVER_TROUBLE
from dpf_async.sim.operator.process.bootstrap import install
from dpf_async.sim.operator.process.control_protocol import serve_stdin


def main(arguments: Sequence[str] | None = None, *, name: str = "python -m dpf_async.sim.operator") -> int:
    """Simulate until SIGINT or SIGTERM; the exit code is 1 if that cannot start or a watch is forbidden.

    `name` is the name of the program in usage messages.
    """
    parser = argparse.ArgumentParser(
        prog=name,
        description="Simulate the DPF operator and its hardware against an API server with DPF's CRDs.",
        epilog="troubles: "
        + "; ".join(f"{name}{text}" if text[0] == "=" else f"{name}: {text}" for name, text in KNOWN.items()),
    )
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: $KUBECONFIG, else ~/.kube/config")
    parser.add_argument("--context", help="context of the kubeconfig; default: its current context")
    parser.add_argument(
        "--namespace", default=known.DPF_NAMESPACE, help="namespace of DPF; default: %(default)s"
    )
    parser.add_argument(
        "--profile", choices=sorted(PROFILES), default="demo", help="durations; default: %(default)s"
    )
    parser.add_argument(
        "--speed", type=float, default=1.0, metavar="X", help="divide durations by this; default: 1"
    )
    parser.add_argument(
        "--trouble",
        action="append",
        default=[],
        metavar="NAME[=VALUE][@TARGET]",
        help="a simulated trouble; may be repeated",
    )
    parser.add_argument(
        "--stdin-control",
        action="store_true",
        help="read all settings as JSON documents from stdin, and end with stdin; used by OperatorProcess",
    )
    chosen = parser.parse_args(arguments)
    try:
        if chosen.stdin_control:
            anyio.run(serve_stdin)
            return 0
        troubles = Troubles(chosen.trouble)
        if troubles.has(SERVER_TROUBLE):
            parser.error(f"{SERVER_TROUBLE} applies to the API server, not to the operator")
        profile = PROFILES[chosen.profile].at_speed(chosen.speed)
        anyio.run(_simulate, chosen.kubeconfig, chosen.context, chosen.namespace, profile, troubles)
    except DPFError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _simulate(
    kubeconfig: str | None, context: str | None, namespace: str, profile: Profile, troubles: Troubles
) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with DPFClient(kubeconfig=kubeconfig, context=context, namespace=namespace) as dpf:
            await install(dpf, now=datetime.now(UTC))
        async with Operator(
            kubeconfig=kubeconfig,
            context=context,
            namespace=namespace,
            profile=profile,
            troubles=troubles,
        ):
            sys.stdout.write(f"simulating DPF in namespace {namespace}, profile {profile.name}\n")
            sys.stdout.flush()
            async for _ in signals:
                return


if __name__ == "__main__":
    sys.exit(main())
