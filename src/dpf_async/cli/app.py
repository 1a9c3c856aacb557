"""The verbs of dpfctl."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, cast

import typer

from dpf_async import __version__, load_hosts, load_site
from dpf_async._sdk.access import ROLES, Role
from dpf_async.cli import console, look
from dpf_async.cli.access import show_access
from dpf_async.cli.options import (
    DEFAULT_NAMESPACE,
    ContextOption,
    KubeconfigOption,
    NamespaceOption,
    TroubleOption,
    client,
)

app = typer.Typer(
    help="Provision NVIDIA BlueField DPUs through DPF: try it on a simulated site, look at a real one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
sim = typer.Typer(help="The simulated DPF site.", no_args_is_help=True)
app.add_typer(sim, name="sim")

SiteArgument = Annotated[Path, typer.Argument(help="Description of the site, see examples/site.yaml.")]
HostsArgument = Annotated[Path, typer.Argument(help="Description of its hosts, see examples/hosts.yaml.")]
ProfileOption = Annotated[
    str, typer.Option("--profile", help="How long things take: instant, demo or realistic.")
]


def _version(*, wanted: bool) -> None:
    if wanted:
        console.out.print(f"dpfctl {__version__}")
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
    """Options of dpfctl itself."""


@app.command()
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
    from dpf_async.cli.demo import demo as run_demo  # noqa: PLC0415  brings the whole simulator

    console.run(partial(run_demo, site, hosts, trouble or (), kubeconfig=kubeconfig, namespace=namespace))


@app.command()
def check(
    site: SiteArgument, hosts: Annotated[Path | None, typer.Argument(help="Description of its hosts.")] = None
) -> None:
    """Check descriptions of a site and its hosts, and tell every mistake with its line. Nothing is sent anywhere."""

    async def verb() -> None:
        described = load_site(site)
        console.out.print(f"{site}: {len(described.groups)} groups, {len(described.services)} services")
        if hosts is not None:
            found = load_hosts(hosts, described)
            devices = sum(len(host.devices) for host in found)
            console.out.print(f"{hosts}: {len(found)} hosts, {devices} DPUs")

    console.run(verb)


@app.command()
def status(
    *,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: Annotated[str, typer.Option("--output", "-o", help="table or json.")] = "table",
) -> None:
    """Show every host and its DPUs: phase, readiness, services, and whether DPF waits for us."""
    if output not in {"table", "json"}:
        raise typer.BadParameter("table or json", param_hint="--output")
    console.run(partial(look.status, client(kubeconfig, context, namespace), as_json=output == "json"))


@app.command()
def watch(
    node: Annotated[str | None, typer.Argument(help="Name of a DPUNode; none follows them all.")] = None,
    *,
    selector: Annotated[str, typer.Option("--selector", "-l", help="Label selector for DPUNodes.")] = "",
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
) -> None:
    """Follow what happens: first everything that stands, then each transition as it comes, until interrupted."""
    console.run(partial(look.watch, client(kubeconfig, context, namespace), node, selector))


@app.command()
def access(
    *,
    role: Annotated[str, typer.Option("--role", help="observer or operator.")] = "operator",
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: Annotated[str, typer.Option("--output", "-o", help="table or json.")] = "table",
) -> None:
    """Show which operations we are allowed to do, and which permissions are missing for the others.

    Nothing is changed and no object is read. The exit status is 1 if something is missing.
    """
    if role not in ROLES:
        raise typer.BadParameter(" or ".join(ROLES), param_hint="--role")
    if output not in {"table", "json"}:
        raise typer.BadParameter("table or json", param_hint="--output")
    chosen = cast("Role", role)
    console.run(
        partial(show_access, client(kubeconfig, context, namespace), chosen, as_json=output == "json")
    )


@sim.command()
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
    from dpf_async.cli.sim import up as run_up  # noqa: PLC0415  brings the whole simulator

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

    raise typer.Exit(run_operator(arguments.args, name="dpfctl sim operator"))
