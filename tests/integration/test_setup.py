"""CreateCarbideInitializationObjects: all objects or none, and each object once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar, cast

import anyio
import pytest

from dpf_async import DPFClient, Progress, SiteObject, SiteSpec, load_site, presets
from dpf_async._api.resource import ResourceClient
from dpf_async._readers.progress import ProgressReporter
from dpf_async._site.apply import apply_site
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
from tests.support.timeouts import times_out

if TYPE_CHECKING:
    from dpf_async._session.client import Client

T = TypeVar("T", bound=Resource)


def site_of(**changes: object) -> SiteSpec:
    """A site with one BFB, flavor, service and group."""
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
    """The kinds of the objects, by action."""
    found: dict[str, set[str]] = {}
    for obj in objects:
        found.setdefault(obj.action, set()).add(obj.kind)
    return found


async def count_objects(dpf: DPFClient) -> int:
    """The number of BFBs, DPUFlavors, DPUServiceTemplates and DPUDeployments."""
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


async def test_the_dpudeployment_has_the_settings_of_its_group(backend: Backend) -> None:
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


async def test_the_password_is_written_to_the_secret_and_replaced_by_a_new_one(backend: Backend) -> None:
    async with backend.cluster() as site:
        secrets = site.dpf.resource(Secret)

        await site.dpf.create_initialization_objects(site_of(), bmc_password="first")
        before = (await secrets.get(known.BMC_PASSWORD_SECRET)).value(known.BMC_PASSWORD_KEY)
        await site.dpf.create_initialization_objects(site_of(), bmc_password="second")
        after = (await secrets.get(known.BMC_PASSWORD_SECRET)).value(known.BMC_PASSWORD_KEY)

        assert (before, after) == (b"first", b"second")


async def test_without_a_password_no_secret_is_written(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_initialization_objects(site_of())

        assert (await site.dpf.resource(Secret).list()).items == ()


async def test_a_different_bfb_or_flavor_is_refused_and_nothing_is_created(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_initialization_objects(site_of())
        other = site_of(
            bfbs={"bfb": BFBSpec(url="https://example.com/b.bfb")},
            flavors={"flavor": DPUFlavorSpec(grub=Grub(kernel_parameters=("quiet",)))},
            services={"hbn": site_of().services["dts"]},
            groups={"g": site_of().groups["compute"].model_copy(update={"services": ("hbn",)})},
        )
        before = await count_objects(site.dpf)

        with pytest.raises(Invalid) as caught:
            await site.dpf.create_initialization_objects(other, update=True)

        message = str(caught.value)
        assert "BFB bfb: it exists, cannot be changed, and differs: use another name" in message
        assert (
            '(spec.url: the value is "https://example.com/a.bfb", wanted is "https://example.com/b.bfb")'
            in message
        )
        assert 'spec.grub.kernelParameters[0]: the value is absent, wanted is "quiet"' in message
        assert await count_objects(site.dpf) == before


async def test_all_rejected_objects_are_reported_and_nothing_is_created(
    backend: Backend,
) -> None:
    async with backend.cluster() as site:
        # Constructed without validation, as if the server had rules that the models do not know.
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
        assert await count_objects(site.dpf) == 0


async def test_a_permission_missing_during_the_writes_is_raised_with_a_note_of_the_written_objects(
    backend: Backend,
) -> None:
    async with backend.cluster() as site:
        spec = site_of()

        def forbid_the_last(progress: Progress) -> None:
            if str(progress) == "DPUServiceConfiguration dts: created":
                site.server.faults.deny(verb="patch", resource="dpudeployments")

        with pytest.raises(Forbidden, match="DPUDeployment compute") as caught:
            await site.dpf.create_initialization_objects(spec, progress=forbid_the_last)

        (note,) = caught.value.__notes__
        assert note == (
            "created or changed before that: BFB bfb, DPUFlavor flavor, DPUServiceTemplate dts,"
            " DPUServiceConfiguration dts; repeat the call to continue from there"
        )
        site.server.faults.allow(verb="patch", resource="dpudeployments")
        assert actions(await site.dpf.create_initialization_objects(spec))["created"] == {"DPUDeployment"}


async def test_a_server_error_during_the_writes_is_raised_and_the_next_call_continues(
    backend: Backend,
) -> None:
    async with backend.cluster() as site:

        def break_down(progress: Progress) -> None:
            if str(progress) == "DPUFlavor flavor: created":
                site.server.faults.answer(500, times=1, verb="patch", resource="dpuservicetemplates")

        with pytest.raises(ServerError, match="DPUServiceTemplate dts"):
            await site.dpf.create_initialization_objects(site_of(), progress=break_down)

        again = await site.dpf.create_initialization_objects(site_of())
        assert {one.kind for one in again if one.action == "unchanged"} == {"BFB", "DPUFlavor"}
        assert (await site.dpf.plan_site(site_of())).changes_nothing


async def test_a_site_is_planned_and_applied_without_get_requests_and_without_reading_secrets(
    backend: Backend,
) -> None:
    async with backend.cluster() as site:
        for verb in ("get", "delete", "update", "watch"):
            site.server.faults.deny(verb=verb)
        site.server.faults.deny(verb="list", resource="secrets")

        await site.dpf.create_initialization_objects(site_of(), bmc_password="secret")

        assert (await site.dpf.plan_site(site_of())).changes_nothing


async def test_a_failed_plan_is_raised_with_a_note_that_nothing_was_written(backend: Backend) -> None:
    async with backend.cluster() as site:
        site.server.faults.deny(verb="list", resource="dpuflavors")

        with pytest.raises(Forbidden, match="dpuflavors") as caught:
            await site.dpf.create_initialization_objects(site_of(), bmc_password="secret")

        assert caught.value.__notes__ == ["nothing was created or changed; repeat the call"]
        site.server.faults.allow(verb="list", resource="dpuflavors")
        assert await count_objects(site.dpf) == 0


class Killed(Exception):
    """Ends the process of a test."""


async def test_a_process_continues_after_one_that_was_killed_after_any_write(backend: Backend) -> None:
    spec = site_of(interfaces=presets.interfaces(vfs=1), networks=presets.networks())
    async with backend.cluster() as site:
        created: list[str] = []

        def kill(progress: Progress) -> None:
            if progress.doing == "created":
                created.append(progress.subject)
                raise Killed

        while True:
            try:
                async with site.another_client() as dpf:
                    last = await dpf.create_initialization_objects(spec, progress=kill)
            except Killed:
                continue
            break

        assert len(created) == len(set(created)) == len(last) == 10, "each object was created once"
        assert (await site.dpf.plan_site(spec)).changes_nothing


async def test_a_call_that_is_cancelled_during_a_write_can_be_repeated(backend: Backend) -> None:
    async with backend.cluster() as site:
        with anyio.move_on_after(30) as scope:

            def cancel(progress: Progress) -> None:
                if str(progress) == "BFB bfb: created":
                    # The server requests a delay; the scope ends while the next write waits.
                    site.server.faults.answer(429, verb="create", resource="dpuflavors", retry_after=60)
                    scope.deadline = anyio.current_time() + 0.05

            await site.dpf.create_initialization_objects(site_of(), progress=cancel)

        assert scope.cancelled_caught
        await site.dpf.create_initialization_objects(site_of())
        assert (await site.dpf.plan_site(site_of())).changes_nothing


async def test_replicas_that_start_together_create_each_object_once(backend: Backend) -> None:
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
        assert await count_objects(site.dpf) == 4


@pytest.mark.parametrize("kind", [BFB, DPUServiceTemplate, DPUDeployment])
async def test_an_object_that_is_being_deleted_is_refused_by_name(
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


# Existing objects that differ.


def changed_site() -> SiteSpec:
    """The same site with another version of its service and another BFB for its group."""
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


async def test_a_change_is_reported_and_only_written_with_update(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_initialization_objects(site_of())

        with pytest.raises(SiteDiffers, match="update=True") as caught:
            await site.dpf.create_initialization_objects(changed_site())
        assert 'DPUDeployment compute: spec.dpus.bfb: the value is "bfb", wanted is "newer"' in str(
            caught.value
        )
        assert [one.name for one in caught.value.plan.of("change")] == ["dts", "compute"]
        assert len((await site.dpf.resource(BFB).list()).items) == 1, "no object is created either"

        objects = await site.dpf.create_initialization_objects(changed_site(), update=True)
        assert actions(objects)["changed"] == {"DPUServiceTemplate", "DPUDeployment"}
        assert (await site.dpf.resource(DPUDeployment).get("compute")).spec.dpus.bfb == "newer"
        assert (await site.dpf.plan_site(changed_site())).changes_nothing


async def test_a_plan_changes_nothing_and_lists_every_object_as_text_and_as_data(backend: Backend) -> None:
    async with backend.cluster() as site:
        assert str(await site.dpf.plan_site(site_of())).splitlines() == [
            "create     BFB bfb",
            "create     DPUFlavor flavor",
            "create     DPUServiceTemplate dts",
            "create     DPUServiceConfiguration dts",
            "create     DPUDeployment compute",
            "5 to create",
        ]
        assert await count_objects(site.dpf) == 0
        await site.dpf.create_initialization_objects(site_of())

        plan = await site.dpf.plan_site(changed_site())

        assert str(plan).splitlines() == [
            "create     BFB newer",
            "change     DPUServiceTemplate dts",
            '    spec.helmChart.source.version: the value is "1", wanted is "2"',
            "change     DPUDeployment compute",
            '    spec.dpus.bfb: the value is "bfb", wanted is "newer"',
            "1 to create, 2 to change, 3 unchanged",
        ]
        data = json.loads(json.dumps(plan.to_dict()))
        assert [one["differences"] for one in data["objects"] if one["name"] == "compute"] == [
            [{"path": "spec.dpus.bfb", "present": "bfb", "wanted": "newer", "secret": False}]
        ]
        assert not plan.changes_nothing


async def test_an_object_that_the_site_no_longer_names_is_left_over_and_not_deleted(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_initialization_objects(changed_site())
        theirs = DPUFlavor(metadata=ObjectMeta(name="foreign"), spec=DPUFlavorSpec())
        await manager(site.dpf, DPUFlavor, "kubectl").create(theirs)

        objects = await site.dpf.create_initialization_objects(site_of(), update=True)

        assert "newer" not in {one.name for one in objects}
        left = (await site.dpf.plan_site(site_of())).of("left over")
        assert [(one.kind, one.name) for one in left] == [("BFB", "newer")]
        assert {bfb.name for bfb in (await site.dpf.resource(BFB).list()).items} == {"bfb", "newer"}


async def test_a_plan_names_fields_that_may_contain_passwords_without_their_values(backend: Backend) -> None:
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

        for text in (str(plan), repr(plan), json.dumps(plan.to_dict())):
            assert secret not in text
            assert "swordfish" not in text
            assert "A=b" not in text
        assert "spec.bfcfgParameters[0]: differs (not shown" in str(plan)
        assert "spec.helmChart.values.db.pw: differs (not shown" in str(plan)
        assert '"https://…@example.com/a.bfb?…"' in str(plan)


async def test_a_field_of_another_field_manager_is_only_changed_with_force(backend: Backend) -> None:
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


async def test_a_field_that_another_method_of_this_client_wrote_needs_no_force(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_initialization_objects(changed_site())
        await site.dpf.resource(BFB).patch_status("bfb", {"status": {"phase": "Ready"}})
        await site.dpf.update_dpu_deployment_bfb("compute", "bfb")

        with pytest.raises(SiteDiffers):
            await site.dpf.create_initialization_objects(changed_site())
        await site.dpf.create_initialization_objects(changed_site(), update=True)

        assert (await site.dpf.resource(DPUDeployment).get("compute")).spec.dpus.bfb == "newer"


async def test_a_client_that_writes_a_field_between_plan_and_write_is_not_overwritten(
    backend: Backend,
) -> None:
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

        class Delayed(ResourceClient[T]):
            """Before each write that is no dry run, kubectl creates the object."""

            async def apply(self, obj: T, *, force: bool = True, dry_run: bool = False) -> T:
                if not dry_run:
                    await kubectl.create(theirs)
                return await super().apply(obj, force=force, dry_run=dry_run)

        class DelayedClient:
            def resource(self, kind: type[T]) -> ResourceClient[T]:
                return Delayed(site.dpf._entered.transport, kind, site.dpf.namespace)

        with pytest.raises(Conflict, match="DPUServiceTemplate dts") as caught:
            await apply_site(
                cast("Client", DelayedClient()), site_of(), None, reporter=ProgressReporter("", None)
            )

        assert caught.value.__notes__ == [
            "created or changed before that: BFB bfb, DPUFlavor flavor; repeat the call to continue from there"
        ]
        assert (await kubectl.get("dts")).spec.helm_chart.source.version == "9"


async def test_a_change_of_an_immutable_field_is_refused_with_both_values(backend: Backend) -> None:
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

        assert 'the value is "None", wanted is "ClusterIP"' in str(caught.value)
        assert {cause.field for cause in caught.value.causes} == {
            "spec.serviceConfiguration.configPorts.serviceType"
        }


# DPF's own configuration.


async def test_operator_bfcfg_false_removes_the_template_of_the_operator(backend: Backend) -> None:
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


async def test_operator_bfcfg_without_a_dpfoperatorconfig_is_rejected_before_anything_is_created(
    backend: Backend,
) -> None:
    async with backend.cluster() as site:
        with pytest.raises(NotFound, match="DPFOperatorConfig"):
            await site.dpf.create_initialization_objects(site_of(operator_bfcfg=False))

        assert await count_objects(site.dpf) == 0


# Waiting for the operator.


async def test_a_timeout_of_site_accepted_names_the_object_and_what_it_waits_for(backend: Backend) -> None:
    async with backend.cluster() as site:
        spec = site_of()
        await site.dpf.create_initialization_objects(spec)

        async def accepted_in(seconds: float) -> None:
            await site.dpf.site_accepted(spec, timeout=seconds)

        await times_out(accepted_in, "BFB bfb: not downloaded after")
        await site.dpf.resource(BFB).patch_status("bfb", {"status": {"phase": "Ready"}})
        await times_out(accepted_in, r"DPUDeployment compute: not accepted .* waits for")


async def test_a_bfb_in_phase_error_ends_the_wait(backend: Backend) -> None:
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


async def test_a_data_hall_is_accepted_and_progress_reports_each_step_once(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        spec = load_site(EXAMPLES / "data-hall.yaml")
        reported: list[str] = []

        await dpf.create_initialization_objects(
            spec, bmc_password="secret", progress=lambda progress: reported.append(str(progress))
        )
        views = await dpf.site_accepted(
            spec, timeout=60, progress=lambda progress: reported.append(f"{progress.flow} {progress}")
        )

        assert reported[:3] == [
            "site: comparing the existing objects with the description",
            "Secret bmc-shared-password: being written",
            "Secret bmc-shared-password: written",
        ]
        assert "BFB bf4-bundle-3-2-1: created" in reported
        for group in spec.groups:
            assert f"site_accepted DPUDeployment {group}: accepted" in reported
            assert views[group].accepted
        assert len(reported) == len(set(reported))
        services = (await dpf.resource(DPUDeployment).get("storage")).spec.services
        assert services["doca-hbn"].service_template == "doca-hbn-storage", (
            "the group configures the service differently"
        )


async def test_a_failed_download_is_reported_and_succeeds_after_recovery(backend: Backend) -> None:
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


async def test_services_that_do_not_fit_are_reported_with_condition_reason_and_message(
    backend: Backend,
) -> None:
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


async def test_without_an_operator_the_timeout_reports_every_object(backend: Backend) -> None:
    async with backend.simulator(operator=False) as sim, sim.client() as dpf:
        reported: list[str] = []
        await dpf.create_initialization_objects(site_of())

        with pytest.raises(WaitTimeout) as caught:
            await dpf.site_accepted(
                site_of(), timeout=0, progress=lambda progress: reported.append(str(progress))
            )

        assert "BFB bfb: not downloaded" in str(caught.value)
        assert "DPUDeployment compute: not accepted" in str(caught.value)
        assert any(
            line.startswith("DPUDeployment compute: not accepted yet; it waits for the operator")
            for line in reported
        )


# Helpers.


def manager(dpf: DPFClient, kind: type[T], name: str) -> ResourceClient[T]:
    """A resource client with another field manager."""
    return ResourceClient(dpf._entered.transport, kind, dpf.namespace, field_manager=name)
