"""CreateCarbideInitializationObjects: everything or nothing, and nothing twice."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from dpf_async import (
    AlreadyExists,
    DPFClient,
    Forbidden,
    GroupSpec,
    Invalid,
    ServiceSpec,
    SiteObject,
    SiteSpec,
    UsageError,
    WaitTimeout,
    load_site,
)
from dpf_async._api.transport import Transport
from dpf_async._sdk import build
from dpf_async.models import (
    BFB,
    BFBSpec,
    DPFOperatorConfig,
    DPUDeployment,
    DPUFlavor,
    DPUFlavorSpec,
    DPUServiceTemplate,
    Grub,
    HelmChart,
    HelmSource,
    Resource,
    Secret,
    known,
)
from tests.integration.backends import Backend
from tests.sdk.test_files import EXAMPLES


def site_of(**changes: object) -> SiteSpec:
    """A site with one of each."""
    parts: dict[str, object] = {
        "bfbs": {"bfb": BFBSpec(url="https://example.com/a.bfb")},
        "flavors": {"flavor": DPUFlavorSpec()},
        "services": {
            "dts": ServiceSpec(
                chart=HelmChart(source=HelmSource(repo_url="oci://example.com/charts", version="1"))
            )
        },
        "groups": {
            "compute": GroupSpec(
                bfb="bfb", flavor="flavor", node_labels={"group": "compute"}, services=("dts",)
            )
        },
    }
    return SiteSpec.model_validate({**parts, **changes})


def actions(objects: Iterable[SiteObject]) -> dict[str, set[str]]:
    """Kinds by what was done about them."""
    found: dict[str, set[str]] = {}
    for obj in objects:
        found.setdefault(obj.action, set()).add(obj.kind)
    return found


async def everything(dpf: DPFClient) -> int:
    """How many objects of the definition there are."""
    kinds = (BFB, DPUFlavor, DPUServiceTemplate, DPUDeployment)
    return sum([len((await dpf.resource(kind).list()).items) for kind in kinds])


async def test_every_object_of_the_example_site_is_created_once(backend: Backend) -> None:
    async with backend.cluster() as site:
        spec = load_site(EXAMPLES / "site.yaml")

        first = await site.dpf.create_initialization_objects(spec, bmc_password="secret")
        again = await site.dpf.create_initialization_objects(spec, bmc_password="secret")

        assert actions(first) == {
            "written": {"Secret"},
            "created": {
                "BFB",
                "DPUFlavor",
                "DPUServiceNAD",
                "DPUServiceInterface",
                "DPUServiceTemplate",
                "DPUServiceConfiguration",
                "DPUDeployment",
            },
        }
        assert set(actions(again)) == {"written", "unchanged"}
        assert [one.name for one in first] == [one.name for one in again]


async def test_the_groups_deployment_says_what_the_group_says(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_initialization_objects(load_site(EXAMPLES / "site.yaml"))

        compute = (await site.dpf.resource(DPUDeployment).get("compute")).spec
        assert compute.dpus.bfb == "bf-bundle-3-2-1"
        assert compute.dpus.flavor == "compute-3-2-1"
        assert compute.dpus.node_effect is not None
        assert compute.dpus.node_effect.hold
        assert compute.dpus.dpu_set_strategy is not None
        assert compute.dpus.dpu_set_strategy.type == "OnDelete"
        (dpu_set,) = compute.dpus.dpu_sets
        assert dpu_set.dpu_node_selector is not None
        assert dpu_set.dpu_node_selector.match_labels["carbide.nvidia.com/group"] == "compute"
        assert len(compute.services) == 9
        assert [ref.name for ref in compute.services["carbide-dhcp-server"].depends_on] == ["doca-hbn"]
        assert compute.service_chains is not None
        assert len(compute.service_chains.switches) == 3
        assert compute.service_chains.upgrade_policy.apply_node_effect is False


async def test_the_password_reaches_the_secret_and_a_new_one_replaces_it(backend: Backend) -> None:
    async with backend.cluster() as site:
        secrets = site.dpf.resource(Secret)

        await site.dpf.create_initialization_objects(site_of(), bmc_password="first")
        before = (await secrets.get(known.BMC_PASSWORD_SECRET)).value(known.BMC_PASSWORD_KEY)
        await site.dpf.create_initialization_objects(site_of(), bmc_password="second")
        after = (await secrets.get(known.BMC_PASSWORD_SECRET)).value(known.BMC_PASSWORD_KEY)

        assert (before, after) == (b"first", b"second")


async def test_without_a_password_the_secret_is_left_alone(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_initialization_objects(site_of())

        assert (await site.dpf.resource(Secret).list()).items == ()


async def test_a_bfb_or_flavor_that_differs_is_refused_and_nothing_is_created(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_initialization_objects(site_of())
        other = site_of(
            bfbs={"bfb": BFBSpec(url="https://example.com/b.bfb")},
            flavors={"flavor": DPUFlavorSpec(grub=Grub(kernel_parameters=("quiet",)))},
            services={"hbn": site_of().services["dts"]},
            groups={"g": site_of().groups["compute"].model_copy(update={"services": ("hbn",)})},
        )
        before = await everything(site.dpf)

        with pytest.raises(Invalid) as caught:
            await site.dpf.create_initialization_objects(other)

        message = str(caught.value)
        assert "BFB bfb exists, cannot be changed, and differs: spec.url" in message
        assert '"https://example.com/a.bfb"' in message
        assert '"https://example.com/b.bfb"' in message
        assert "DPUFlavor flavor exists, cannot be changed, and differs: spec.grub" in message
        assert await everything(site.dpf) == before


async def test_what_the_server_refuses_is_told_for_all_objects_and_nothing_is_created(
    backend: Backend,
) -> None:
    async with backend.cluster() as site:
        # Rules that only a newer server has: our models let these through.
        async with tightened(site.dpf):
            with pytest.raises(Invalid) as caught:
                await site.dpf.create_initialization_objects(site_of())

        message = str(caught.value)
        assert "nothing was created" in message
        assert "BFB bfb" in message
        assert "DPUDeployment compute" in message
        assert {cause.field for cause in caught.value.causes} == {"spec.url", "spec.dpus.flavor"}
        assert await everything(site.dpf) == 0


async def test_a_failure_on_the_way_says_what_exists_by_then(backend: Backend) -> None:
    async with backend.cluster() as site:
        spec = site_of()
        await site.dpf.create_initialization_objects(spec)
        await site.dpf.resource(DPUDeployment).delete("compute")
        await site.dpf.resource(DPUFlavor).delete("flavor")
        # The check before passes (it is a dry run of each), the first real apply of the deployment does not.
        site.server.faults.answer(403, times=1, verb="get", resource="dpudeployments")

        with pytest.raises(Forbidden) as caught:
            await site.dpf.create_initialization_objects(spec)

        (note,) = caught.value.__notes__
        assert note == "created or changed before that: DPUFlavor flavor; run it again to go on from there"
        assert actions(await site.dpf.create_initialization_objects(spec))["created"] == {"DPUDeployment"}


async def test_a_bfb_on_its_way_out_is_refused_by_name(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_initialization_objects(site_of())
        await site.dpf.resource(BFB).patch("bfb", {"metadata": {"finalizers": ["example.com/stays"]}})
        await site.dpf.resource(BFB).delete("bfb")

        with pytest.raises(AlreadyExists, match="BFB bfb is being deleted"):
            await site.dpf.create_initialization_objects(site_of())


async def test_the_operators_bfcfg_template_is_dropped_on_request(backend: Backend) -> None:
    async with backend.cluster() as site:
        config = DPFOperatorConfig.model_validate(
            {
                "metadata": {"name": known.OPERATOR_CONFIG_NAME},
                "spec": {"provisioningController": {"bfCFGTemplateConfigMap": "custom"}},
            }
        )
        await site.dpf.resource(DPFOperatorConfig).create(config)

        objects = await site.dpf.create_initialization_objects(site_of(operator_bfcfg=False))

        stored = await site.dpf.resource(DPFOperatorConfig).get(known.OPERATOR_CONFIG_NAME)
        assert not stored.spec.provisioning_controller.bf_cfg_template_config_map
        assert objects[-1] == SiteObject("DPFOperatorConfig", known.OPERATOR_CONFIG_NAME, "changed")


async def test_waiting_for_a_site_says_which_object_waits_for_what(backend: Backend) -> None:
    async with backend.cluster() as site:
        spec = site_of()
        await site.dpf.create_initialization_objects(spec)

        with pytest.raises(WaitTimeout, match="BFB bfb: not downloaded after"):
            await site.dpf.site_accepted(spec, timeout=0.05)
        await site.dpf.resource(BFB).patch_status("bfb", {"status": {"phase": "Ready"}})
        with pytest.raises(WaitTimeout, match=r"DPUDeployment compute: not accepted .* waits for"):
            await site.dpf.site_accepted(spec, timeout=0.05)


async def test_a_bfb_that_cannot_be_downloaded_ends_the_wait(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_initialization_objects(site_of())
        await site.dpf.resource(BFB).patch_status("bfb", {"status": {"phase": "Error"}})

        with pytest.raises(UsageError, match="BFB bfb is in phase Error"):
            await site.dpf.site_accepted(site_of(), timeout=5)


@asynccontextmanager
async def tightened(dpf: DPFClient) -> AsyncIterator[None]:
    """Have the server know rules that this release's models do not, while the block lasts."""
    transport = dpf._entered._transport
    before: dict[str, Any] = {}
    for plural, path, pattern in (
        ("bfbs.provisioning.dpu.nvidia.com", ("url",), "^https://nowhere"),
        ("dpudeployments.svc.dpu.nvidia.com", ("dpus", "flavor"), "^never$"),
    ):
        place = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}"
        definition = json.loads((await transport.request("GET", place)).body)
        before[place] = definition["spec"]
        changed = copy.deepcopy(definition["spec"])
        field = changed["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        for part in path:
            field = field["properties"][part]
        field["pattern"] = pattern
        await _define(transport, place, changed)
    try:
        await _taken_up(dpf, refused=True)
        yield
    finally:
        for place, spec in before.items():
            await _define(transport, place, spec)
        await _taken_up(dpf, refused=False)


async def _taken_up(dpf: DPFClient, *, refused: bool) -> None:
    """Wait until the server goes by its changed definitions: it takes them up when it gets round to it."""
    site = site_of()
    probes = [*build.immutable_objects(site), *build.applied_objects(site)]
    with anyio.fail_after(30):
        for probe in probes:
            if isinstance(probe, BFB | DPUDeployment):
                while await _is_refused(dpf, probe) is not refused:
                    pass


async def _define(transport: Transport, place: str, spec: Any) -> None:
    body = json.dumps([{"op": "replace", "path": "/spec", "value": spec}]).encode()
    answer = await transport.request("PATCH", place, body=body, content_type="application/json-patch+json")
    assert answer.status == 200, answer.body


async def _is_refused(dpf: DPFClient, wanted: Resource) -> bool:
    try:
        await dpf.resource(type(wanted)).create(wanted, dry_run=True)
    except Invalid:
        return True
    return False
