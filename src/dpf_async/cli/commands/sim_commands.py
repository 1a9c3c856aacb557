"""`dpf-async demo` and `dpf-async sim`. The simulator is imported only when one runs, because that is slow."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from dpf_async.cli import console
from dpf_async.cli.options import (
    DEFAULT_NAMESPACE,
    HostsArgument,
    NamespaceOption,
    SiteArgument,
    TroubleOption,
)

sim: typer.Typer = typer.Typer(help="The simulated DPF site.", no_args_is_help=True)

ProfileOption = Annotated[
    str, typer.Option("--profile", help="Durations on the simulated site: instant, demo or realistic.")
]


def demo(
    site: SiteArgument,
    hosts: HostsArgument,
    *,
    trouble: TroubleOption = None,
    kubeconfig: Annotated[
        Path | None,
        typer.Option(
            "--kubeconfig",
            help="Run the demo on this API server, which needs DPF's CRDs and no DPF operator.",
        ),
    ] = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
) -> None:
    """Provision the hosts of a site file on a simulated site, with live progress. Drain and reboot are simulated.

    The verb starts the site, creates its objects, brings every host to Ready, reprovisions one DPU, and shows the
    duration of each phase. It needs no cluster and leaves no process running. With --kubeconfig the objects remain on
    that API server.
    """
    from dpf_async.cli.commands.demo import demo as run_demo  # noqa: PLC0415  imports the whole simulator

    console.run(partial(run_demo, site, hosts, trouble or (), kubeconfig=kubeconfig, namespace=namespace))


@sim.command(epilog=console.epilog("sim up --site examples/site.yaml --hosts examples/hosts.yaml"))
def up(
    *,
    kubeconfig: Annotated[
        Path, typer.Option("--kubeconfig", help="Where to write the kubeconfig of the site.")
    ] = Path("dpf-sim.kubeconfig"),
    site: Annotated[
        Path | None, typer.Option("--site", help="Site file to apply to it, such as examples/site.yaml.")
    ] = None,
    hosts: Annotated[
        Path | None,
        typer.Option("--hosts", help="Host file to register on it, such as examples/hosts.yaml."),
    ] = None,
    port: Annotated[int, typer.Option("--port", help="Port on 127.0.0.1; 0 for a free one.")] = 0,
    profile: ProfileOption = "demo",
    trouble: TroubleOption = None,
) -> None:
    """Run a simulated site until interrupted, and write a kubeconfig for kubectl and any other client."""
    from dpf_async.cli.commands.sim_site import up as run_up  # noqa: PLC0415  imports the whole simulator

    console.run(
        partial(
            run_up,
            kubeconfig=kubeconfig.absolute(),
            site_file=site,
            hosts_file=hosts,
            port=port,
            profile=profile,
            troubles=trouble or (),
        )
    )


@sim.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)
def operator(arguments: typer.Context) -> None:
    """Run only the simulated operator, against an API server that has DPF's CRDs, until interrupted."""
    from dpf_async.sim.operator.__main__ import main as run_operator  # noqa: PLC0415  imports the whole simulator

    raise typer.Exit(run_operator(arguments.args, name="dpf-async sim operator"))
