"""CreateCarbideInitializationObjects: everything or nothing, and nothing twice."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TypeVar

import anyio
import pytest

from dpf_async import DPFClient, Progress, SiteObject, SiteSpec, load_site, presets
from dpf_async._api.resource import ResourceClient
from dpf_async._readers.progress import ProgressReporter
from dpf_async._site.apply import define
from dpf_async.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    ServerError,
    SiteDiffers,
    SiteFailed,
    WaitTimeout,
)
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
    ObjectMeta,
    Resource,
    Secret,
    ServiceConfiguration,
    known,
)
from dpf_async.specs import GroupSpec, ServiceSpec
from tests.integration.backends import Backend
from tests.site.test_files import EXAMPLES
from tests.support.timeouts import in_vain

T = TypeVar("T", bound=Resource)


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
            await site.dpf.create_initialization_objects(other, update=True)

        message = str(caught.value)
        assert "BFB bfb: it exists, cannot be changed, and differs: use another name" in message
        assert (
            '(spec.url: it has "https://example.com/a.bfb", asked for is "https://example.com/b.bfb")'
            in message
        )
        assert 'spec.grub.kernelParameters[0]: it has nothing, asked for is "quiet"' in message
        assert await everything(site.dpf) == before


async def test_what_the_server_refuses_is_told_for_all_objects_and_nothing_is_created(
    backend: Backend,
) -> None:
    async with backend.cluster() as site:
        # As if the server had rules that our models do not know: built past them.
        image = BFBSpec.model_construct({"url"}, url="ftp://example.com/a.bfb")
        source = HelmSource.model_construct(
            {"repo_url", "version"}, repo_url="oci://example.com/charts", version=""
        )
        chart = HelmChart.model_construct({"source"}, source=source)
        spec = site_of(bfbs={"bfb": image}, services={"dts": ServiceSpec.model_construct(chart=chart)})

        with pytest.raises(Invalid) as caught:
            await site.dpf.create_initialization_objects(spec)

        message = str(caught.value)
        assert "nothing was created or changed" in message
        assert "BFB bfb" in message
        assert "DPUServiceTemplate dts" in message
        assert {cause.field for cause in caught.value.causes} == {"spec.url", "spec.helmChart.source.version"}
        assert await everything(site.dpf) == 0


async def test_a_permission_missing_in_the_middle_says_what_exists_by_then(backend: Backend) -> None:
    async with backend.cluster() as site:
        spec = site_of()

        def forbid_the_last(told: Progress) -> None:
            if str(told) == "DPUServiceConfiguration dts: created":
                site.server.faults.deny(verb="patch", resource="dpudeployments")

        with pytest.raises(Forbidden, match="DPUDeployment compute") as caught:
            await site.dpf.create_initialization_objects(spec, progress=forbid_the_last)

        (note,) = caught.value.__notes__
        assert note == (
            "created or changed before that: BFB bfb, DPUFlavor flavor, DPUServiceTemplate dts,"
            " DPUServiceConfiguration dts; run it again to go on from there"
        )
        site.server.faults.allow(verb="patch", resource="dpudeployments")
        assert actions(await site.dpf.create_initialization_objects(spec))["created"] == {"DPUDeployment"}


async def test_errors_of_the_server_in_the_middle_are_raised_and_the_next_call_goes_on(
    backend: Backend,
) -> None:
    async with backend.cluster() as site:

        def break_down(told: Progress) -> None:
            if str(told) == "DPUFlavor flavor: created":
                site.server.faults.answer(500, times=1, verb="patch", resource="dpuservicetemplates")

        with pytest.raises(ServerError, match="DPUServiceTemplate dts"):
            await site.dpf.create_initialization_objects(site_of(), progress=break_down)

        again = await site.dpf.create_initialization_objects(site_of())
        assert {one.kind for one in again if one.action == "unchanged"} == {"BFB", "DPUFlavor"}
        assert (await site.dpf.plan_site(site_of())).changes_nothing


async def test_a_site_is_planned_and_defined_without_reading_single_objects_or_any_secret(
    backend: Backend,
) -> None:
    async with backend.cluster() as site:
        for verb in ("get", "delete", "update", "watch"):
            site.server.faults.deny(verb=verb)
        site.server.faults.deny(verb="list", resource="secrets")

        await site.dpf.create_initialization_objects(site_of(), bmc_password="secret")

        assert (await site.dpf.plan_site(site_of())).changes_nothing


async def test_a_plan_that_cannot_be_made_says_that_nothing_was_done(backend: Backend) -> None:
    async with backend.cluster() as site:
        site.server.faults.deny(verb="list", resource="dpuflavors")

        with pytest.raises(Forbidden, match="dpuflavors") as caught:
            await site.dpf.create_initialization_objects(site_of(), bmc_password="secret")

        assert caught.value.__notes__ == ["nothing was created or changed; run it again"]
        site.server.faults.allow(verb="list", resource="dpuflavors")
        assert await everything(site.dpf) == 0


class Killed(Exception):
    """The process ends here."""


async def test_a_process_killed_after_any_write_is_followed_by_one_that_goes_on(backend: Backend) -> None:
    spec = site_of(interfaces=presets.interfaces(vfs=1), networks=presets.networks())
    async with backend.cluster() as site:
        made: list[str] = []

        def kill(told: Progress) -> None:
            if told.doing == "created":
                made.append(told.subject)
                raise Killed

        while True:
            try:
                async with site.another_client() as dpf:
                    last = await dpf.create_initialization_objects(spec, progress=kill)
            except Killed:
                continue
            break

        assert len(made) == len(set(made)) == len(last) == 10, "each object was made once, by one of them"
        assert (await site.dpf.plan_site(spec)).changes_nothing


async def test_a_call_that_is_cancelled_in_the_middle_of_a_write_is_made_again(backend: Backend) -> None:
    async with backend.cluster() as site:
        with anyio.move_on_after(30) as scope:

            def cancel(told: Progress) -> None:
                if str(told) == "BFB bfb: created":
                    # The server asks to wait, and while the next write does, the scope ends.
                    site.server.faults.answer(429, verb="create", resource="dpuflavors", retry_after=60)
                    scope.deadline = anyio.current_time() + 0.05

            await site.dpf.create_initialization_objects(site_of(), progress=cancel)

        assert scope.cancelled_caught
        await site.dpf.create_initialization_objects(site_of())
        assert (await site.dpf.plan_site(site_of())).changes_nothing


async def test_two_replicas_that_start_together_define_the_site_once(backend: Backend) -> None:
    async with backend.cluster() as site:
        done: list[dict[str, set[str]]] = []

        async def start() -> None:
            async with site.another_client() as dpf:
                done.append(actions(await dpf.create_initialization_objects(site_of())))

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(start)

        assert len(done) == 3
        assert (await site.dpf.plan_site(site_of())).changes_nothing
        assert await everything(site.dpf) == 4


@pytest.mark.parametrize("kind", [BFB, DPUServiceTemplate, DPUDeployment])
async def test_an_object_on_its_way_out_is_refused_by_name(
    backend: Backend, kind: type[BFB | DPUServiceTemplate | DPUDeployment]
) -> None:
    async with backend.cluster() as site:
        objects = await site.dpf.create_initialization_objects(site_of())
        (name,) = (one.name for one in objects if one.kind == kind.KIND)
        await site.dpf.resource(kind).patch(name, {"metadata": {"finalizers": ["example.com/stays"]}})
        await site.dpf.resource(kind).delete(name)

        with pytest.raises(AlreadyExists, match=f"{kind.KIND} {name}: it is being deleted") as caught:
            await site.dpf.create_initialization_objects(site_of(), update=True)

        assert caught.value.terminating
        await site.dpf.resource(kind).patch(name, {"metadata": {"finalizers": None}})


# What is there and differs.


def moved() -> SiteSpec:
    """The same site with another version of its service, and another image for its group."""
    service = ServiceSpec(
        chart=HelmChart(source=HelmSource(repo_url="oci://example.com/charts", version="2"))
    )
    return site_of(
        bfbs={
            "bfb": BFBSpec(url="https://example.com/a.bfb"),
            "newer": BFBSpec(url="https://example.com/b.bfb"),
        },
        services={"dts": service},
        groups={"compute": site_of().groups["compute"].model_copy(update={"bfb": "newer"})},
    )


async def test_a_change_is_shown_and_not_made_until_it_is_asked_for(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_initialization_objects(site_of())

        with pytest.raises(SiteDiffers, match="update=True") as caught:
            await site.dpf.create_initialization_objects(moved())
        assert 'DPUDeployment compute: spec.dpus.bfb: it has "bfb", asked for is "newer"' in str(caught.value)
        assert [one.name for one in caught.value.plan.of("change")] == ["dts", "compute"]
        assert len((await site.dpf.resource(BFB).list()).items) == 1, "nor is anything created"

        objects = await site.dpf.create_initialization_objects(moved(), update=True)
        assert actions(objects)["changed"] == {"DPUServiceTemplate", "DPUDeployment"}
        assert (await site.dpf.resource(DPUDeployment).get("compute")).spec.dpus.bfb == "newer"
        assert (await site.dpf.plan_site(moved())).changes_nothing


async def test_a_plan_changes_nothing_and_tells_every_object_as_text_and_as_data(backend: Backend) -> None:
    async with backend.cluster() as site:
        assert str(await site.dpf.plan_site(site_of())).splitlines() == [
            "create     BFB bfb",
            "create     DPUFlavor flavor",
            "create     DPUServiceTemplate dts",
            "create     DPUServiceConfiguration dts",
            "create     DPUDeployment compute",
            "5 to create",
        ]
        assert await everything(site.dpf) == 0
        await site.dpf.create_initialization_objects(site_of())

        plan = await site.dpf.plan_site(moved())

        assert str(plan).splitlines() == [
            "create     BFB newer",
            "change     DPUServiceTemplate dts",
            '    spec.helmChart.source.version: it has "1", asked for is "2"',
            "change     DPUDeployment compute",
            '    spec.dpus.bfb: it has "bfb", asked for is "newer"',
            "1 to create, 2 to change, 3 unchanged",
        ]
        data = json.loads(json.dumps(plan.to_dict()))
        assert [one["differences"] for one in data["objects"] if one["name"] == "compute"] == [
            [{"path": "spec.dpus.bfb", "present": "bfb", "wanted": "newer", "secret": False}]
        ]
        assert not plan.changes_nothing


async def test_what_the_site_does_not_name_any_more_is_left_over_and_stays(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_initialization_objects(moved())
        theirs = DPUFlavor(metadata=ObjectMeta(name="somebody-elses"), spec=DPUFlavorSpec())
        await manager(site.dpf, DPUFlavor, "kubectl").create(theirs)

        objects = await site.dpf.create_initialization_objects(site_of(), update=True)

        assert "newer" not in {one.name for one in objects}
        left = (await site.dpf.plan_site(site_of())).of("left over")
        assert [(one.kind, one.name) for one in left] == [("BFB", "newer")]
        assert {bfb.name for bfb in (await site.dpf.resource(BFB).list()).items} == {"bfb", "newer"}


async def test_what_may_hold_a_password_is_named_and_not_shown(backend: Backend) -> None:
    async with backend.cluster() as site:
        secret = "hunter2"
        chart = HelmChart(
            source=HelmSource(repo_url="oci://example.com/charts", version="1"),
            values={"db": {"pw": "swordfish"}},
        )
        before = site_of(
            bfbs={"bfb": BFBSpec(url=f"https://robot:{secret}@example.com/a.bfb?token={secret}")},
            flavors={"flavor": DPUFlavorSpec(bfcfg_parameters=(f"ubuntu_PASSWORD={secret}",))},
            services={"dts": ServiceSpec(chart=chart)},
        )
        await site.dpf.create_initialization_objects(before)

        plan = await site.dpf.plan_site(site_of(flavors={"flavor": DPUFlavorSpec(bfcfg_parameters=("A=b",))}))

        for told in (str(plan), repr(plan), json.dumps(plan.to_dict())):
            assert secret not in told
            assert "swordfish" not in told
            assert "A=b" not in told
        assert "spec.bfcfgParameters[0]: differs (not shown" in str(plan)
        assert "spec.helmChart.values.db.pw: differs (not shown" in str(plan)
        assert '"https://…@example.com/a.bfb?…"' in str(plan)


async def test_a_field_of_another_manager_is_not_taken_over_unasked(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_initialization_objects(site_of())
        theirs = (await site.dpf.resource(DPUDeployment).get("compute")).spec.dpus
        await manager(site.dpf, DPUDeployment, "kubectl").patch(
            "compute", {"spec": {"dpus": {"bfb": "theirs"}}}
        )
        assert theirs.bfb == "bfb"

        with pytest.raises(Conflict, match=r"DPUDeployment compute.*owned by kubectl") as caught:
            await site.dpf.create_initialization_objects(site_of(), update=True)
        assert "force=True" in str(caught.value)
        assert (await site.dpf.resource(DPUDeployment).get("compute")).spec.dpus.bfb == "theirs"

        await site.dpf.create_initialization_objects(site_of(), update=True, force=True)
        assert (await site.dpf.resource(DPUDeployment).get("compute")).spec.dpus.bfb == "bfb"


async def test_what_another_of_our_own_methods_wrote_is_nobody_elses(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_initialization_objects(moved())
        await site.dpf.resource(BFB).patch_status("bfb", {"status": {"phase": "Ready"}})
        await site.dpf.update_dpu_deployment_bfb("compute", "bfb")

        with pytest.raises(SiteDiffers):
            await site.dpf.create_initialization_objects(moved())
        await site.dpf.create_initialization_objects(moved(), update=True)

        assert (await site.dpf.resource(DPUDeployment).get("compute")).spec.dpus.bfb == "newer"


async def test_whoever_takes_a_field_between_plan_and_write_is_not_overwritten(backend: Backend) -> None:
    theirs = DPUServiceTemplate.model_validate(
        {
            "metadata": {"name": "dts"},
            "spec": {
                "deploymentServiceName": "dts",
                "helmChart": {"source": {"repoURL": "oci://example.com/theirs", "version": "9"}},
            },
        }
    )
    async with backend.cluster() as site:
        kubectl = manager(site.dpf, DPUServiceTemplate, "kubectl")

        class Late(ResourceClient[T]):
            """Is overtaken by kubectl whenever it really writes."""

            async def apply(self, obj: T, *, force: bool = True, dry_run: bool = False) -> T:
                if not dry_run:
                    await kubectl.create(theirs)
                return await super().apply(obj, force=force, dry_run=dry_run)

        class LateClient:
            def resource(self, kind: type[T]) -> ResourceClient[T]:
                return Late(site.dpf._entered._transport, kind, site.dpf.namespace)

        with pytest.raises(Conflict, match="DPUServiceTemplate dts") as caught:
            await define(LateClient(), site_of(), None, reporter=ProgressReporter("", None))

        assert caught.value.__notes__ == [
            "created or changed before that: BFB bfb, DPUFlavor flavor; run it again to go on from there"
        ]
        assert (await kubectl.get("dts")).spec.helm_chart.source.version == "9"


async def test_an_immutable_field_of_a_mutable_object_is_refused_with_both_values(backend: Backend) -> None:
    def serving(service_type: str) -> SiteSpec:
        ports = {
            "serviceType": service_type,
            "ports": [{"name": "metrics", "port": 9100, "protocol": "TCP"}],
        }
        service = (
            site_of()
            .services["dts"]
            .model_copy(update={"configuration": ServiceConfiguration.model_validate({"configPorts": ports})})
        )
        return site_of(services={"dts": service})

    async with backend.cluster() as site:
        await site.dpf.create_initialization_objects(serving("None"))

        with pytest.raises(Invalid, match="DPUServiceConfiguration dts") as caught:
            await site.dpf.create_initialization_objects(serving("ClusterIP"), update=True)

        assert 'it has "None", asked for is "ClusterIP"' in str(caught.value)
        assert {cause.field for cause in caught.value.causes} == {
            "spec.serviceConfiguration.configPorts.serviceType"
        }


# What DPF itself has.


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


async def test_a_wish_about_a_configuration_that_is_not_there_is_refused_before_anything_is_created(
    backend: Backend,
) -> None:
    async with backend.cluster() as site:
        with pytest.raises(NotFound, match="DPFOperatorConfig"):
            await site.dpf.create_initialization_objects(site_of(operator_bfcfg=False))

        assert await everything(site.dpf) == 0


# Waiting for the operator.


async def test_waiting_for_a_site_says_which_object_waits_for_what(backend: Backend) -> None:
    async with backend.cluster() as site:
        spec = site_of()
        await site.dpf.create_initialization_objects(spec)

        async def accepted_in(seconds: float) -> None:
            await site.dpf.site_accepted(spec, timeout=seconds)

        await in_vain(accepted_in, "BFB bfb: not downloaded after")
        await site.dpf.resource(BFB).patch_status("bfb", {"status": {"phase": "Ready"}})
        await in_vain(accepted_in, r"DPUDeployment compute: not accepted .* waits for")


async def test_a_bfb_that_cannot_be_downloaded_ends_the_wait(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_initialization_objects(site_of())
        await site.dpf.resource(BFB).patch_status("bfb", {"status": {"phase": "Error"}})

        with pytest.raises(SiteFailed, match="BFB bfb is in phase Error") as caught:
            await site.dpf.site_accepted(site_of(), timeout=60)

        assert (caught.value.kind, caught.value.name, caught.value.reason) == ("BFB", "bfb", "Error")


@pytest.mark.parametrize(("kind", "name"), [(BFB, "bfb"), (DPUDeployment, "compute")])
async def test_an_object_that_is_being_deleted_is_not_waited_for(
    backend: Backend, kind: type[BFB | DPUDeployment], name: str
) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_initialization_objects(site_of())
        await site.dpf.resource(kind).patch(name, {"metadata": {"finalizers": ["example.com/stays"]}})
        await site.dpf.resource(kind).delete(name)

        with pytest.raises(SiteFailed, match=f"{kind.KIND} {name} is being deleted"):
            await site.dpf.site_accepted(site_of(), timeout=60)
        await site.dpf.resource(kind).patch(name, {"metadata": {"finalizers": None}})


async def test_a_whole_data_hall_is_accepted_and_progress_says_each_thing_once(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        spec = load_site(EXAMPLES / "data-hall.yaml")
        heard: list[str] = []

        await dpf.create_initialization_objects(
            spec, bmc_password="secret", progress=lambda told: heard.append(str(told))
        )
        views = await dpf.site_accepted(
            spec, timeout=60, progress=lambda told: heard.append(f"{told.flow} {told}")
        )

        assert heard[:3] == [
            "site: comparing what is there with the description",
            "Secret bmc-shared-password: being written",
            "Secret bmc-shared-password: written",
        ]
        assert "BFB bf4-bundle-3-2-1: created" in heard
        for group in spec.groups:
            assert f"site_accepted DPUDeployment {group}: accepted" in heard
            assert views[group].accepted
        assert len(heard) == len(set(heard))
        services = (await dpf.resource(DPUDeployment).get("storage")).spec.services
        assert services["doca-hbn"].service_template == "doca-hbn-storage", "a service in the group's own way"


async def test_a_download_that_fails_is_told_and_goes_well_when_it_is_mended(backend: Backend) -> None:
    async with backend.simulator(troubles=["bfb_download_failed@bfb"]) as sim, sim.client() as dpf:
        await dpf.create_initialization_objects(site_of())

        with pytest.raises(SiteFailed, match="BFB bfb"):
            await dpf.site_accepted(site_of(), timeout=60)

        sim.repair("bfb_download_failed")
        await dpf.resource(BFB).delete("bfb")
        await dpf.handle(BFB, "bfb").until_gone(timeout=60)
        objects = await dpf.create_initialization_objects(site_of())
        assert [one.name for one in objects if one.action == "created"] == ["bfb"]
        await dpf.site_accepted(site_of(), timeout=60)


async def test_services_that_do_not_fit_are_told_with_condition_reason_and_message(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        large = site_of().services["dts"].model_copy(update={"resources": {"memory": "64Gi"}})
        spec = site_of(
            services={"dts": large},
            flavors={"flavor": DPUFlavorSpec(dpu_resources={"memory": "16Gi"})},
        )
        await dpf.create_initialization_objects(spec)

        with pytest.raises(SiteFailed, match="DPUDeployment compute cannot be accepted") as caught:
            await dpf.site_accepted(spec, timeout=60)

        assert caught.value.reason == "ResourceFittingReady Failure"
        assert "memory" in caught.value.detail


async def test_without_an_operator_every_object_is_late_and_says_so(backend: Backend) -> None:
    async with backend.simulator(operator=False) as sim, sim.client() as dpf:
        heard: list[str] = []
        await dpf.create_initialization_objects(site_of())

        with pytest.raises(WaitTimeout) as caught:
            await dpf.site_accepted(site_of(), timeout=0, progress=lambda told: heard.append(str(told)))

        assert "BFB bfb: not downloaded" in str(caught.value)
        assert "DPUDeployment compute: not accepted" in str(caught.value)
        assert any(
            line.startswith("DPUDeployment compute: not accepted yet; it waits for the operator")
            for line in heard
        )


# Words of a test.


def manager(dpf: DPFClient, kind: type[T], name: str) -> ResourceClient[T]:
    """Objects as another program writes them."""
    return ResourceClient(dpf._entered._transport, kind, dpf.namespace, field_manager=name)
