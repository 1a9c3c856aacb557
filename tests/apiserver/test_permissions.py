"""The Roles of deploy/rbac.yaml on a real API server: sufficient for every operation, without unneeded permissions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, get_args

import anyio
import pytest
import yaml

from dpf_async import DPFClient, Permission, discover, provision, reprovision, rollback, upgrade
from dpf_async._diagnostics.permissions import NEEDS, ROLES, Role, permissions_of_role
from dpf_async.errors import Forbidden
from dpf_async.levels import external_reboot_required, node_effect_held, ready
from dpf_async.models import ObjectMeta, Secret, known
from dpf_async.sim.simulator import Simulator
from tests.apiserver.cluster import RealCluster
from tests.apiserver.operations import (
    CALLS,
    CLAIMS,
    EXISTS,
    GROUP,
    GUARD,
    HOSTS,
    OTHER_BFB,
    OTHER_FLAVOR,
    SCENARIOS,
    SITE,
    Hosts,
    Scenario,
    answer_reboot,
    approve,
    first_action,
    first_health,
    first_transition,
    reboot,
    release_hold,
    renew_password,
)
from tests.support.cluster import FAST_RETRIES

Rules = list[dict[str, Any]]  # Any: it is YAML

MANIFESTS = {
    manifest["metadata"]["name"]: manifest["rules"]
    for manifest in yaml.safe_load_all((Path(__file__).parents[2] / "deploy" / "rbac.yaml").read_text())
}


def permissions_of(role: Role) -> list[Permission]:
    """Each single permission of the manifest."""
    return [
        Permission(group, resource, verb, name)
        for rule in MANIFESTS[f"dpf-async-{role}"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
        for verb in rule["verbs"]
    ]


def rules_of(permissions: set[Permission] | frozenset[Permission]) -> Rules:
    """The rules of a Role with exactly these permissions."""
    verbs: dict[tuple[str, str, str], list[str]] = {}
    for each in sorted(permissions):
        verbs.setdefault((each.group, each.resource, each.name), []).append(each.verb)
    return [
        {
            "apiGroups": [group],
            "resources": [resource],
            "verbs": allowed,
            **({"resourceNames": [name]} if name else {}),
        }
        for (group, resource, name), allowed in verbs.items()
    ]


def scenario_of(permission: Permission) -> Scenario:
    """A scenario that fails without the permission."""
    for scenario in SCENARIOS:
        if permission.verb in scenario.shows.get(permission.resource, "").split():
            return scenario
    raise AssertionError(
        f"no Scenario in operations.py needs {permission}: add one, or remove the permission"
    )


EACH = [
    pytest.param(role, permission, id=f"{role}: {permission}")
    for role in get_args(Role)
    for permission in permissions_of(role)
]


# Sufficient permissions.


async def run_every_operation(sim: Simulator, as_: Callable[[str], DPFClient]) -> None:
    """Every operation, each with the client that `as_` returns, for hosts from registration to deletion."""
    host, pair = sim.host(), sim.host(devices=2)
    assert (await as_("plan_site").plan_site(SITE)).of("create")
    await as_("create_initialization_objects").create_initialization_objects(SITE, bmc_password="hunter2")
    await renew_password(as_("bmc_password"))
    await as_("site_accepted").site_accepted(SITE, timeout=GUARD)

    await as_("create_dpu_node").create_dpu_node(host.name, host.devices, labels=host.labels)
    assert (await as_("host_discovered").host_discovered(host.name, timeout=GUARD)).discovered
    assert await as_("verify_labels").verify_labels(host) == ()
    assert (await discover(as_("discover"), host, timeout=GUARD)).discovered
    await release_hold(as_("node_effect_hold"), host.name)
    await answer_reboot(as_("external_reboot"), host.name)
    node = as_("node").node(host.name)
    (dpu,) = (await node.until(ready, timeout=GUARD)).dpus
    assert await as_("is_dpu_ready").is_dpu_ready(dpu.name)
    assert not await as_("is_dpu_node_waiting_for_reboot").is_dpu_node_waiting_for_reboot(host.name)
    assert (await as_("dpu").dpu(dpu.name).until(EXISTS)).uid == dpu.uid
    assert (await first_transition(as_("transitions"))).node == host.name
    assert (await first_health(as_("health_transitions"))).node == host.name
    assert host.name in await first_action(as_("monitor"))
    assert (await as_("snapshot").snapshot(host.name)).node == host.name
    assert (await as_("deployment").deployment(GROUP).view()).accepted

    assert (await as_("reprovision_dpu").reprovision_dpu(dpu.name, timeout=GUARD)).uid != dpu.uid
    await node.until(node_effect_held, timeout=GUARD)
    assert await as_("mark_dpu_node_ready_for_maintenance").mark_dpu_node_ready_for_maintenance(
        host.name, timeout=GUARD
    )
    await node.until(external_reboot_required, timeout=GUARD)
    assert await as_("mark_dpu_node_rebooted").mark_dpu_node_rebooted(host.name, timeout=GUARD)
    await node.until(ready, timeout=GUARD)
    assert (await reprovision(as_("reprovision"), host.name, reboot=reboot, timeout=GUARD)).ready
    assert (await provision(as_("provision"), pair, reboot=reboot, timeout=GUARD)).ready

    by_bfb = await as_("update_dpu_deployment_bfb").update_dpu_deployment_bfb(GROUP, OTHER_BFB, timeout=GUARD)
    by_flavor = await as_("update_dpu_deployment_configuration").update_dpu_deployment_configuration(
        GROUP, OTHER_FLAVOR, timeout=GUARD
    )
    assert by_bfb.changed
    assert await as_("outdated_dpus").outdated_dpus() == by_flavor.outdated
    assert all(one.matches for one in await as_("service_versions").service_versions(SITE))
    report = await upgrade(as_("upgrade"), GROUP, approve=approve, reboot=reboot, timeout=GUARD)
    assert len(report.upgraded) == 2
    assert (await rollback(as_("rollback"), GROUP, timeout=GUARD)).changed

    await release_hold(as_("claims"), (await sim.node_waiting_for_hold()).name)
    held = await sim.node_waiting_for_hold()
    await as_("delete_dpu_node").delete_dpu_node(held.name, timeout=GUARD)
    await as_("delete_dpu").delete_dpu(pair.devices[0].name, timeout=GUARD)
    sim.trouble("stuck_finalizer")
    forced = await as_("force_delete_dpu").force_delete_dpu(pair.devices[1].name, grace_period=0)
    assert any(known.DPU_FINALIZER in removed for removed in forced.removed)
    forced = await as_("force_delete_dpu_node").force_delete_dpu_node(host.name, grace_period=0)
    assert any(known.DPU_FINALIZER in removed for removed in forced.removed)


async def test_the_operator_role_is_sufficient_for_every_operation(
    own_cluster: RealCluster, namespace: str
) -> None:
    called: set[str] = set()
    admin = own_cluster.kubeconfig()
    await own_cluster.grant("alice", MANIFESTS["dpf-async-operator"], namespace=namespace)
    alice = own_cluster.kubeconfig(token=own_cluster.token_of("alice"))

    async with (
        Simulator(kubeconfig=admin, namespace=namespace) as sim,
        DPFClient(kubeconfig=alice, namespace=namespace, claims=CLAIMS) as dpf,
    ):

        def as_alice(operation: str) -> DPFClient:
            called.add(operation)
            return dpf

        assert (await dpf.check_access()).missing == ()
        await run_every_operation(sim, as_alice)

    assert called == set(NEEDS)


async def test_the_needs_of_an_operation_are_sufficient_for_it(
    own_cluster: RealCluster, namespace: str
) -> None:
    async with AsyncExitStack() as stack:
        sim = await stack.enter_async_context(
            Simulator(kubeconfig=own_cluster.kubeconfig(), namespace=namespace)
        )
        clients: dict[str, DPFClient] = {}
        for operation, needs in NEEDS.items():
            name = operation.replace("_", "-")
            token = await own_cluster.service_account_token(name, namespace=namespace)
            user = f"system:serviceaccount:{namespace}:{name}"
            await own_cluster.grant(user, rules_of(needs), namespace=namespace)
            kubeconfig = own_cluster.kubeconfig(token=token)
            clients[operation] = await stack.enter_async_context(
                DPFClient(
                    kubeconfig=kubeconfig,
                    namespace=namespace,
                    claims=CLAIMS if operation == "claims" else None,
                )
            )

        await run_every_operation(sim, clients.__getitem__)


async def test_the_observer_role_allows_only_the_operations_of_an_observer(
    own_cluster: RealCluster, namespace: str
) -> None:
    admin = own_cluster.kubeconfig()
    await own_cluster.grant("alice", MANIFESTS["dpf-async-observer"], namespace=namespace)
    alice = own_cluster.kubeconfig(token=own_cluster.token_of("alice"))
    async with (
        Simulator(kubeconfig=admin, namespace=namespace) as sim,
        DPFClient(kubeconfig=alice, namespace=namespace, claims=CLAIMS) as dpf,
    ):
        await sim.define_site()
        host = await sim.register_host()
        rebooting = await sim.node_waiting_for_external_reboot()
        async with sim.client() as them:
            view = await them.node(host.name).until(node_effect_held, timeout=GUARD)
        hosts = Hosts(held=host, rebooting=rebooting.name, dpu=view.dpus[0].name)

        assert (await dpf.check_access("observer")).missing == ()
        assert set((await dpf.check_access()).missing) == permissions_of_role(
            "operator"
        ) - permissions_of_role("observer")
        with anyio.fail_after(GUARD):
            for operation in ROLES["observer"]:
                await CALLS[operation](dpf, hosts)
            for operation in set(NEEDS) - set(ROLES["observer"]):
                with pytest.raises(Forbidden):
                    await CALLS[operation](dpf, hosts)


# No unneeded permissions.


def test_every_operation_has_a_call() -> None:
    assert set(CALLS) == set(NEEDS)


@pytest.mark.parametrize(("role", "permission"), EACH)
async def test_an_operation_without_a_permission_fails_as_check_access_reports(
    own_cluster: RealCluster, namespace: str, role: Role, permission: Permission
) -> None:
    scenario = scenario_of(permission)
    lacking = set(permissions_of(role)) - {permission}
    await own_cluster.grant("alice", rules_of(lacking), namespace=namespace)
    async with DPFClient(kubeconfig=own_cluster.kubeconfig(), namespace=namespace) as admin:
        await scenario.given(admin)

    alice = own_cluster.kubeconfig(token=own_cluster.token_of("alice"))
    async with DPFClient(kubeconfig=alice, namespace=namespace, policy=FAST_RETRIES, claims=CLAIMS) as dpf:
        access = await dpf.check_access(role)
        with anyio.fail_after(GUARD), pytest.raises(Forbidden) as refused:
            await CALLS[scenario.operation](dpf, HOSTS)

    assert access.missing == (permission,)
    assert access.operations[scenario.operation] == (permission,)
    assert set(access.denied) == {name for name in ROLES[role] if permission in NEEDS[name]}
    error = refused.value
    assert (error.verb, error.group, error.resource, error.namespace) == (
        permission.verb,
        permission.group,
        permission.resource,
        namespace,
    )
    for part in (
        f'cannot {permission.verb} resource "{permission.resource}"',
        namespace,
        "deploy/rbac.yaml",
    ):
        assert part in str(error)


async def test_the_operator_role_reads_no_secret_and_writes_only_the_bmc_password(
    own_cluster: RealCluster, namespace: str
) -> None:
    def secret(name: str) -> Secret:
        return Secret(metadata=ObjectMeta(name=name), type="Opaque", data={"password": "c2VjcmV0"})

    await own_cluster.grant("alice", MANIFESTS["dpf-async-operator"], namespace=namespace)
    alice = own_cluster.kubeconfig(token=own_cluster.token_of("alice"))
    async with DPFClient(kubeconfig=alice, namespace=namespace) as dpf:
        secrets = dpf.resource(Secret)
        ours, other = secret(known.BMC_PASSWORD_SECRET), secret("other-secret")

        await secrets.apply(ours)

        for refused, verb in (
            (secrets.get(ours.name), "get"),
            (secrets.list(), "list"),
            (secrets.list(field_selector=f"metadata.name={ours.name}"), "list"),
            (secrets.delete(ours.name), "delete"),
            (secrets.create(ours), "create"),
            (secrets.create(other), "create"),
            (secrets.apply(other), "patch"),
        ):
            with pytest.raises(Forbidden) as forbidden:
                await refused
            assert (forbidden.value.verb, forbidden.value.resource) == (verb, "secrets")
