"""The verbs that try things on a simulated site. Each brings the simulator only when it runs: that takes a moment."""

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
    str, typer.Option("--profile", help="How long things take: instant, demo or realistic.")
]


def demo(
    site: SiteArgument,
    hosts: HostsArgument,
    *,
    trouble: TroubleOption = None,
    kubeconfig: Annotated[
        Path | None,
        typer.Option(
            "--kubeconfig", help="Play it on this API server, which must have DPF's CRDs, and no DPF."
        ),
    ] = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
) -> None:
    """Provision a simulated site from its description, live: drain and reboot are pretended, the rest is as it is.

    It starts the site, creates the objects, brings every host to Ready, makes one DPU anew, and shows what each
    phase took. It needs no cluster and leaves nothing running. With --kubeconfig the objects stay on that API server.
    """
    from dpf_async.cli.commands.demo import demo as run_demo  # noqa: PLC0415  brings the whole simulator

    console.run(partial(run_demo, site, hosts, trouble or (), kubeconfig=kubeconfig, namespace=namespace))


@sim.command(epilog=console.teach("sim up --site examples/site.yaml --hosts examples/hosts.yaml"))
def up(
    *,
    kubeconfig: Annotated[Path, typer.Option("--kubeconfig", help="Where to write its kubeconfig.")] = Path(
        "dpf-sim.kubeconfig"
    ),
    site: Annotated[
        Path | None, typer.Option("--site", help="Define this site on it; see examples/site.yaml.")
    ] = None,
    hosts: Annotated[
        Path | None,
        typer.Option("--hosts", help="Register these hosts of the site; see examples/hosts.yaml."),
    ] = None,
    port: Annotated[int, typer.Option("--port", help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    profile: ProfileOption = "demo",
    trouble: TroubleOption = None,
) -> None:
    """Run a simulated site until interrupted, and write a kubeconfig that kubectl and every other client can use."""
    from dpf_async.cli.commands.sim_site import up as run_up  # noqa: PLC0415  brings the whole simulator

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
    """Run only the simulated operator, against any API server that has the CRDs, until interrupted."""
    from dpf_async.sim.operator.__main__ import main as run_operator  # noqa: PLC0415  brings the whole simulator

    raise typer.Exit(run_operator(arguments.args, name="dpf-async sim operator"))
