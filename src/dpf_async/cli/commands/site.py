"""The verbs of a site's definition: what it would change, defining it, and whether DPF has taken it over."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from dpf_async import (
    BFBView,
    DeploymentView,
    DPFClient,
    ServiceVersion,
    SiteSpec,
    load_hosts,
    load_site,
)
from dpf_async.cli import console, terminal
from dpf_async.cli.options import (
    DEFAULT_NAMESPACE,
    ContextOption,
    KubeconfigOption,
    NamespaceOption,
    Output,
    OutputOption,
    SiteArgument,
    TimeoutOption,
    client,
)
from dpf_async.errors import UsageError
from dpf_async.models import BFB, DPUDeployment, Resource

T = TypeVar("T", bound=Resource)
Row = dict[str, Any]  # Any: JSON

app: typer.Typer = typer.Typer(
    help="Define a site: the BFBs, flavors, services and groups that stand before there are hosts.",
    no_args_is_help=True,
)


def check(
    site: SiteArgument, hosts: Annotated[Path | None, typer.Argument(help="Description of its hosts.")] = None
) -> None:
    """Check descriptions of a site and its hosts, and tell every mistake with its line. Nothing is sent anywhere."""

    async def verb() -> None:
        described = load_site(site)
        console.show(f"{site}: {len(described.groups)} groups, {len(described.services)} services")
        if hosts is not None:
            found = load_hosts(hosts, described)
            devices = sum(len(host.devices) for host in found)
            console.show(f"{hosts}: {len(found)} hosts, {devices} DPUs")

    console.run(verb)


@app.command(
    epilog=console.teach("site plan examples/site.yaml", no="the site is not as described, or it failed")
)
def plan(
    site: SiteArgument,
    *,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show what `site apply` would do to each object, field by field. Nothing is changed.

    The server itself is asked, by dry runs: its rules, defaults and field managers count as they will.
    """

    async def verb() -> None:
        described = load_site(site)
        async with client(kubeconfig, context, namespace) as dpf:
            found = await dpf.plan_site(described)
        if output.is_json:
            console.show_json(found.to_dict())
        else:
            console.show(found)
        if not found.changes_nothing:
            raise typer.Exit(console.FAILED)

    console.run(verb)


@app.command(
    epilog=console.teach(
        "site apply examples/site.yaml --bmc-password-file /run/secrets/bmc --timeout 30m",
        no="it differs and --update was not given, it is refused, or DPF did not accept it",
    )
)
def apply(
    site: SiteArgument,
    *,
    update: Annotated[
        bool,
        typer.Option("--update", help="Change what is there and differs; else it is shown, and asked about."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Take fields over that another field manager owns.")
    ] = False,
    bmc_password_file: Annotated[
        Path | None,
        typer.Option(
            "--bmc-password-file",
            help="Has the password of the DPUs' BMCs, for the Secret that DPF reads; - is stdin. Without it the Secret"
            " is left alone.",
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Whether to wait until DPF has accepted it.")
    ] = True,
    timeout: TimeoutOption = None,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: OutputOption = Output.TABLE,
) -> None:
    """Create a site's objects, and wait until DPF has accepted them. What is there as described is left alone.

    DPF then downloads every BFB, and makes of each group's DPUDeployment what its DPUs will need. Interrupted, it is
    run again and goes on. Objects that the description does not name any more stay.
    """

    async def verb() -> None:
        described = load_site(site)
        password = None if bmc_password_file is None else _password(bmc_password_file)
        async with client(kubeconfig, context, namespace) as dpf:
            change = update or await _changes_are_wanted(dpf, described)
            objects = await dpf.create_initialization_objects(
                described,
                bmc_password=password,
                update=change,
                force=force,
                progress=console.say_progress,
            )
            if wait:
                await dpf.site_accepted(described, timeout=timeout, progress=console.say_progress)
        if output.is_json:
            console.show_json({"objects": [asdict(one) for one in objects], "accepted": wait})
            return
        counts: dict[str, int] = {}
        for one in objects:
            counts[one.action] = counts.get(one.action, 0) + 1
        told = ", ".join(f"{count} {action}" for action, count in counts.items())
        console.show(f"{told}{'; every DPUDeployment is accepted' if wait else ''}")

    console.run(verb)


@app.command(epilog=console.teach("site status examples/site.yaml", no="not all of it is accepted"))
def status(
    site: Annotated[
        Path | None, typer.Argument(help="Look at what this site consists of; without it, at all there is.")
    ] = None,
    *,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show every BFB and DPUDeployment: whether DPF has taken it over, and what it waits for.

    A DPU is outdated if it was made with another BFB or DPUFlavor than its DPUDeployment says; see `dpf-async upgrade`.
    Of a site that is described, services whose chart has another version are shown as well.
    """

    async def verb() -> None:
        described = load_site(site) if site is not None else None
        async with client(kubeconfig, context, namespace) as dpf:
            if described is None:
                bfbs, groups = await _names(dpf, BFB), await _names(dpf, DPUDeployment)
            else:
                bfbs, groups = list(described.bfbs), list(described.groups)
            rows = [_of_bfb(name, await dpf.handle(BFB, name).find()) for name in bfbs]
            views = {name: await dpf.deployment(name).find() for name in groups}
            outdated = Counter(dpu.deployment for dpu in await dpf.outdated_dpus())
            rows += [_of_deployment(name, view, outdated[name]) for name, view in views.items()]
            if described is not None:
                rows += [
                    _of_service(one)
                    for one in await dpf.service_versions(described)
                    if one.matches is False and views.get(one.deployment) is not None
                ]
        if output.is_json:
            console.show_json(rows)
        elif not rows:
            console.show(f"no BFBs and no DPUDeployments in namespace {namespace}")
        else:
            table = console.table("kind", "name", "accepted", "outdated DPUs", "waiting for")
            for row in rows:
                table.add_row(
                    row["kind"],
                    row["name"],
                    console.yes(row["accepted"]),
                    str(row.get("outdated_dpus", "")),
                    row["waiting_for"] or "",
                )
            console.out.print(table)
        if not all(row["accepted"] for row in rows):
            raise typer.Exit(console.FAILED)

    console.run(verb)


async def _names(dpf: DPFClient, kind: type[T]) -> list[str]:
    return [obj.name for obj in (await dpf.resource(kind).list()).items]


def _of_bfb(name: str, view: BFBView | None) -> Row:
    if view is None:
        return _row(BFB, name, accepted=False, waiting_for="it is not there")
    return _row(BFB, name, accepted=view.ready, waiting_for=None if view.ready else f"phase {view.phase}")


def _of_deployment(name: str, view: DeploymentView | None, outdated: int) -> Row:
    if view is None:
        row = _row(DPUDeployment, name, accepted=False, waiting_for="it is not there")
    else:
        waiting = "its deletion" if view.terminating else view.waiting_for
        row = _row(DPUDeployment, name, accepted=view.accepted, waiting_for=waiting)
    return {**row, "outdated_dpus": outdated}


def _of_service(version: ServiceVersion) -> Row:
    found = f"its chart has version {version.found}" if version.found else "it is not there"
    return {
        "kind": "service",
        "name": f"{version.deployment}/{version.service}",
        "accepted": False,
        "waiting_for": f"version {version.expected}: {found}",
    }


def _row(kind: type[Resource], name: str, *, accepted: bool, waiting_for: str | None) -> Row:
    return {"kind": kind.KIND, "name": name, "accepted": accepted, "waiting_for": waiting_for}


def _password(file: Path) -> str:
    text = sys.stdin.read() if str(file) == "-" else file.read_text()
    password = text.rstrip("\r\n")
    if not password:
        raise UsageError(f"--bmc-password-file {file} is empty; nothing was done")
    return password


async def _changes_are_wanted(dpf: DPFClient, site: SiteSpec) -> bool:
    """Show what would be changed to whoever sits at the terminal, and ask."""
    if not terminal.is_there():
        return False
    found = await dpf.plan_site(site)
    if not found.of("change") or found.of("refused"):
        return False
    console.say(found)
    return await terminal.confirmed("Change what differs?")
