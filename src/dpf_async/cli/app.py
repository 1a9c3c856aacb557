"""The tree of dpf-async's verbs."""

from __future__ import annotations

from typing import Annotated

import typer

from dpf_async import __version__
from dpf_async.cli import console
from dpf_async.cli.commands import (
    compat,
    dpu,
    host,
    node,
    permissions,
    sim_commands,
    site,
    snapshot,
    status,
    upgrade,
)

app: typer.Typer = typer.Typer(
    help="Provision NVIDIA BlueField DPUs through DPF, on a real or a simulated site.",
    epilog=(
        "Try it: dpf-async demo examples/site.yaml examples/hosts.yaml\n\n"
        "Exit status of every verb: 0 done; 1 it failed, or a check is negative; 2 a mistake in the command, or in a"
        " site or host file; 130 interrupted: DPF's requests stay pending, and the same command resumes."
    ),
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(*, wanted: bool) -> None:
    if wanted:
        console.show(f"dpf-async {__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version.", callback=lambda v: _version(wanted=v), is_eager=True
        ),
    ] = False,
) -> None:
    """Parse the options of dpf-async itself."""


app.command(epilog=console.epilog("demo examples/site.yaml examples/hosts.yaml"))(sim_commands.demo)
app.command(epilog=console.epilog("check examples/site.yaml examples/hosts.yaml"))(site.check)
app.add_typer(site.app, name="site")
app.add_typer(host.app, name="host")
app.add_typer(dpu.app, name="dpu")
app.add_typer(node.app, name="node")
app.command(
    epilog=console.epilog(
        "upgrade compute --bfb bf-bundle-3-2-1 --drain-command './drain {node}'"
        " --reboot-command 'ipmitool -H bmc-of-{node} power cycle'",
        failed="a host failed, or the upgrade was stopped",
    )
)(upgrade.upgrade)
app.command(epilog=console.epilog("status -o json"))(status.status)
app.command(epilog=console.epilog("watch --health --selector rack=1"))(status.watch)
app.command(
    epilog=console.epilog("snapshot node-02-00-00-00-0a-01 -o json", failed="DPF has no object of this host")
)(snapshot.snapshot)
app.command(epilog=console.epilog("access --role observer", failed="a permission is missing"))(
    permissions.access
)
app.command(epilog=console.epilog("compat", failed="it is not compatible"))(compat.compat)
app.add_typer(sim_commands.sim, name="sim")
