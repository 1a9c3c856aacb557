"""The tree of dpf-async's verbs."""

from __future__ import annotations

from typing import Annotated

import typer

from dpf_async import __version__
from dpf_async.cli import console
from dpf_async.cli.commands import compat, dpu, host, node, sim_commands, site, snapshot, status, upgrade
from dpf_async.cli.commands import permissions as access_verb

app: typer.Typer = typer.Typer(
    help="Provision NVIDIA BlueField DPUs through DPF: try it on a simulated site, do it on a real one.",
    epilog=(
        "Try it: dpf-async demo examples/site.yaml examples/hosts.yaml\n\n"
        "Exit status of every verb: 0 done; 1 it failed, or the answer is no; 2 a mistake in the command or in a"
        " description; 130 interrupted: what DPF asked for stands, and the same line goes on from there."
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
    """Options of dpf-async itself."""


app.command(epilog=console.teach("demo examples/site.yaml examples/hosts.yaml"))(sim_commands.demo)
app.command(epilog=console.teach("check examples/site.yaml examples/hosts.yaml"))(site.check)
app.add_typer(site.app, name="site")
app.add_typer(host.app, name="host")
app.add_typer(dpu.app, name="dpu")
app.add_typer(node.app, name="node")
app.command(
    epilog=console.teach(
        "upgrade compute --bfb bf-bundle-3-2-1 --drain-command './drain {node}'"
        " --reboot-command 'ipmitool -H bmc-of-{node} power cycle'",
        no="a host failed, or the upgrade was stopped",
    )
)(upgrade.upgrade)
app.command(epilog=console.teach("status -o json"))(status.status)
app.command(epilog=console.teach("watch --health --selector rack=1"))(status.watch)
app.command(
    epilog=console.teach("snapshot node-02-00-00-00-0a-01 -o json", no="DPF knows nothing of the host")
)(snapshot.snapshot)
app.command(epilog=console.teach("access --role observer", no="something is missing"))(access_verb.access)
app.command(epilog=console.teach("compat", no="it is not compatible"))(compat.compat)
app.add_typer(sim_commands.sim, name="sim")
