"""`dpf-async check` and `dpf-async site`: validate, plan and apply a site file, and show what DPF accepted."""

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
    help="Define a site: its BFBs, flavors, services and groups, before hosts are registered.",
    no_args_is_help=True,
)


def check(
    site: SiteArgument, hosts: Annotated[Path | None, typer.Argument(help="Host file.")] = None
) -> None:
    """Validate a site file and a host file, and report every mistake with its line. It sends nothing to a cluster."""

    async def verb() -> None:
        spec = load_site(site)
        console.show(f"{site}: {len(spec.groups)} groups, {len(spec.services)} services")
        if hosts is not None:
            loaded = load_hosts(hosts, spec)
            devices = sum(len(host.devices) for host in loaded)
            console.show(f"{hosts}: {len(loaded)} hosts, {devices} DPUs")

    console.run(verb)


@app.command(
    epilog=console.epilog(
        "site plan examples/site.yaml", failed="the site differs from the file, or it failed"
    )
)
def plan(
    site: SiteArgument,
    *,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show what `site apply` would do to each object, field by field. It changes nothing.

    It sends dry runs to the API server, so that the plan includes its validation, defaults and field managers.
    """

    async def verb() -> None:
        spec = load_site(site)
        async with client(kubeconfig, context, namespace) as dpf:
            site_plan = await dpf.plan_site(spec)
        if output.is_json:
            console.show_json(site_plan.to_dict())
        else:
            console.show(site_plan)
        if not site_plan.changes_nothing:
            raise typer.Exit(console.FAILED)

    console.run(verb)


@app.command(
    epilog=console.epilog(
        "site apply examples/site.yaml --bmc-password-file /run/secrets/bmc --timeout 30m",
        failed="an object differs and --update was not given, it was rejected, or DPF did not accept it",
    )
)
def apply(
    site: SiteArgument,
    *,
    update: Annotated[
        bool,
        typer.Option("--update", help="Change objects that differ; default: show the difference and prompt."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Take ownership of fields that another field manager owns.")
    ] = False,
    bmc_password_file: Annotated[
        Path | None,
        typer.Option(
            "--bmc-password-file",
            help="File with the password of the DPUs' BMCs, for the Secret that DPF reads; - for stdin. Default: do not"
            " write the Secret.",
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Whether to wait until DPF has accepted the site.")
    ] = True,
    timeout: TimeoutOption = None,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: OutputOption = Output.TABLE,
) -> None:
    """Create the objects of a site file, and wait until DPF has accepted them.

    DPF then downloads every BFB, and creates from the DPUDeployment of each group what its DPUs need. Objects that
    match the file are not changed, and objects that were removed from the file are not deleted. After an interruption,
    run the verb again to resume.
    """

    async def verb() -> None:
        spec = load_site(site)
        password = None if bmc_password_file is None else _password(bmc_password_file)
        async with client(kubeconfig, context, namespace) as dpf:
            change = update or await _user_confirms_changes(dpf, spec)
            objects = await dpf.create_initialization_objects(
                spec,
                bmc_password=password,
                update=change,
                force=force,
                progress=console.print_progress,
            )
            if wait:
                await dpf.site_accepted(spec, timeout=timeout, progress=console.print_progress)
        if output.is_json:
            console.show_json({"objects": [asdict(one) for one in objects], "accepted": wait})
            return
        counts: dict[str, int] = {}
        for one in objects:
            counts[one.action] = counts.get(one.action, 0) + 1
        summary = ", ".join(f"{count} {action}" for action, count in counts.items())
        console.show(f"{summary}{'; every DPUDeployment is accepted' if wait else ''}")

    console.run(verb)


@app.command(epilog=console.epilog("site status examples/site.yaml", failed="an object is not accepted"))
def status(
    site: Annotated[
        Path | None, typer.Argument(help="Site file; show only its objects. Default: all objects.")
    ] = None,
    *,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show for every BFB and DPUDeployment whether DPF has accepted it, and what it waits for.

    A DPU is outdated if it was installed from another BFB or DPUFlavor than its DPUDeployment names now; see `dpf-async
    upgrade`. With a site file, services whose chart has another version are shown as well.
    """

    async def verb() -> None:
        spec = load_site(site) if site is not None else None
        async with client(kubeconfig, context, namespace) as dpf:
            if spec is None:
                bfbs, groups = await _names(dpf, BFB), await _names(dpf, DPUDeployment)
            else:
                bfbs, groups = list(spec.bfbs), list(spec.groups)
            rows = [_of_bfb(name, await dpf.handle(BFB, name).find()) for name in bfbs]
            views = {name: await dpf.deployment(name).find() for name in groups}
            outdated = Counter(dpu.deployment for dpu in await dpf.outdated_dpus())
            rows += [_of_deployment(name, view, outdated[name]) for name, view in views.items()]
            if spec is not None:
                rows += [
                    _of_service(one)
                    for one in await dpf.service_versions(spec)
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
                    console.yes_or_no(row["accepted"]),
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
        return _row(BFB, name, accepted=False, waiting_for="the object to be created")
    return _row(BFB, name, accepted=view.ready, waiting_for=None if view.ready else f"phase {view.phase}")


def _of_deployment(name: str, view: DeploymentView | None, outdated: int) -> Row:
    if view is None:
        row = _row(DPUDeployment, name, accepted=False, waiting_for="the object to be created")
    else:
        waiting = "the end of its deletion" if view.terminating else view.waiting_for
        row = _row(DPUDeployment, name, accepted=view.accepted, waiting_for=waiting)
    return {**row, "outdated_dpus": outdated}


def _of_service(version: ServiceVersion) -> Row:
    present = f"its chart has version {version.found}" if version.found else "the service does not exist"
    return {
        "kind": "service",
        "name": f"{version.deployment}/{version.service}",
        "accepted": False,
        "waiting_for": f"version {version.expected}: {present}",
    }


def _row(kind: type[Resource], name: str, *, accepted: bool, waiting_for: str | None) -> Row:
    return {"kind": kind.KIND, "name": name, "accepted": accepted, "waiting_for": waiting_for}


def _password(file: Path) -> str:
    text = sys.stdin.read() if str(file) == "-" else file.read_text()
    password = text.rstrip("\r\n")
    if not password:
        raise UsageError(f"--bmc-password-file {file} is empty; nothing was done")
    return password


async def _user_confirms_changes(dpf: DPFClient, site: SiteSpec) -> bool:
    """Show the plan to the user at the terminal, and prompt for confirmation."""
    if not terminal.is_interactive():
        return False
    plan = await dpf.plan_site(site)
    if not plan.of("change") or plan.of("refused"):
        return False
    console.print_note(plan)
    return await terminal.confirm("Change the objects that differ?")
