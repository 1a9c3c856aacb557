"""Typed create, read, update and delete with every patch type, on a server that behaves as Kubernetes does."""

from __future__ import annotations

from typing import Any

import pytest

from dpf_async.errors import AlreadyExists, Conflict, Invalid, NotFound
from dpf_async.models import BFB, ConfigMap, DPUFlavor, Secret
from tests.integration.backends import Backend


def bfb(name: str = "bundle", url: str = "http://example.com/b.bfb", **metadata: Any) -> BFB:
    return BFB.model_validate({"metadata": {"name": name, **metadata}, "spec": {"url": url}})


async def test_a_created_object_is_read_back_with_the_fields_that_the_server_added(backend: Backend) -> None:
    async with backend.cluster() as site:
        dpf = site.dpf
        made = await dpf.resource(BFB).create(bfb(labels={"a": "b"}))
        read = await dpf.resource(BFB).get("bundle")

    assert made == read
    assert read.uid
    assert read.metadata.resource_version
    assert read.metadata.namespace == site.dpf.namespace
    assert read.metadata.labels == {"a": "b"}
    assert read.spec.url == "http://example.com/b.bfb"


async def test_an_absent_object_is_not_found_by_name(backend: Backend) -> None:
    async with backend.cluster() as site:
        dpf = site.dpf
        bfbs = dpf.resource(BFB)
        for call in (bfbs.get, bfbs.get_state, bfbs.delete, lambda name: bfbs.patch(name, {"metadata": {}})):
            with pytest.raises(NotFound, match="BFB nope") as missing:
                await call("nope")
            assert missing.value.object == "BFB nope"


async def test_a_name_can_be_created_once(backend: Backend) -> None:
    async with backend.cluster() as site:
        dpf = site.dpf
        await dpf.resource(BFB).create(bfb())
        with pytest.raises(AlreadyExists) as refused:
            await dpf.resource(BFB).create(bfb())

    assert not refused.value.terminating


async def test_f5_a_name_is_not_free_while_a_finalizer_holds_the_deleted_object(backend: Backend) -> None:
    async with backend.cluster() as site:
        dpf = site.dpf
        await dpf.resource(BFB).create(bfb(finalizers=["example.com/hold"]))
        left = await dpf.resource(BFB).delete("bundle")
        with pytest.raises(AlreadyExists) as refused:
            await dpf.resource(BFB).create(bfb())

    assert left is not None
    assert left.metadata.deletion_timestamp
    assert refused.value.terminating


async def test_a_long_list_is_read_in_pages_and_is_complete(backend: Backend) -> None:
    async with backend.cluster() as site:
        dpf = site.dpf
        config_maps = dpf.resource(ConfigMap)
        for n in range(501):
            metadata = {"name": f"m-{n:03}", "labels": {"own": "yes"}}
            await config_maps.create(ConfigMap.model_validate({"metadata": metadata}))
        listed = await config_maps.list(label_selector="own=yes")

    assert [obj.name for obj in listed.items] == [f"m-{n:03}" for n in range(501)]
    assert listed.resource_version


async def test_a_list_is_narrowed_by_both_selectors(backend: Backend) -> None:
    async with backend.cluster() as site:
        dpf = site.dpf
        bfbs = dpf.resource(BFB)
        for name, rack in (("a", "1"), ("b", "1"), ("c", "2")):
            await bfbs.create(bfb(name, labels={"rack": rack}))
        by_label = await bfbs.list(label_selector="rack=1")
        by_both = await bfbs.list(label_selector="rack=1", field_selector="metadata.name=b")

    assert [obj.name for obj in by_label.items] == ["a", "b"]
    assert [obj.name for obj in by_both.items] == ["b"]


async def test_apply_creates_and_changes_and_keeps_the_fields_of_other_managers(backend: Backend) -> None:
    async with backend.cluster() as site:
        dpf = site.dpf
        bfbs = dpf.resource(BFB)
        made = await bfbs.apply(bfb(labels={"own": "1"}))
        await bfbs.patch("bundle", {"metadata": {"labels": {"foreign": "1"}}})
        changed = await bfbs.apply(bfb(labels={"own": "2"}))

    assert changed.uid == made.uid
    assert changed.metadata.labels == {"own": "2", "foreign": "1"}


async def test_apply_without_force_does_not_take_ownership_from_another_manager(backend: Backend) -> None:
    async with (
        backend.cluster() as site,
        site.another_client(field_manager="one") as one,
        site.another_client(field_manager="two") as two,
    ):
        await one.resource(BFB).apply(bfb(labels={"owner": "one"}))
        with pytest.raises(Conflict) as conflict:
            await two.resource(BFB).apply(bfb(labels={"owner": "two"}), force=False)
        taken = await two.resource(BFB).apply(bfb(labels={"owner": "two"}))

    assert '"one"' in str(conflict.value)
    assert any("labels" in cause.field for cause in conflict.value.causes)
    assert taken.metadata.labels == {"owner": "two"}


async def test_a_merge_patch_changes_what_it_names_and_removes_what_it_nulls(backend: Backend) -> None:
    async with backend.cluster() as site:
        dpf = site.dpf
        bfbs = dpf.resource(BFB)
        await bfbs.create(bfb(labels={"keep": "1", "drop": "1"}))
        patched = await bfbs.patch("bundle", {"metadata": {"labels": {"drop": None, "new": "1"}}})

    assert patched.metadata.labels == {"keep": "1", "new": "1"}


async def test_a_json_patch_is_a_sequence_and_a_failed_test_rejects_it(backend: Backend) -> None:
    async with backend.cluster() as site:
        dpf = site.dpf
        bfbs = dpf.resource(BFB)
        await bfbs.create(bfb(labels={"a": "1"}))
        patched = await bfbs.patch("bundle", [{"op": "replace", "path": "/metadata/labels/a", "value": "2"}])
        with pytest.raises(Invalid):
            await bfbs.patch("bundle", [{"op": "test", "path": "/metadata/labels/a", "value": "7"}])

    assert patched.metadata.labels == {"a": "2"}


async def test_a_patch_for_another_uid_or_another_version_is_a_conflict(backend: Backend) -> None:
    async with backend.cluster() as site:
        dpf = site.dpf
        bfbs = dpf.resource(BFB)
        made = await bfbs.create(bfb())
        await bfbs.patch("bundle", {"metadata": {"labels": {"a": "1"}}}, uid=made.uid)
        with pytest.raises(Conflict, match="its uid is not another-uid"):
            await bfbs.patch("bundle", {"metadata": {"labels": {"a": "2"}}}, uid="another-uid")
        stale = {"resourceVersion": made.metadata.resource_version, "labels": {"a": "2"}}
        with pytest.raises(Conflict):
            await bfbs.patch("bundle", {"metadata": stale})
        there = await bfbs.get("bundle")

    assert there.metadata.labels == {"a": "1"}


async def test_a_patch_of_the_status_changes_only_the_status(backend: Backend) -> None:
    async with backend.cluster() as site:
        dpf = site.dpf
        bfbs = dpf.resource(BFB)
        await bfbs.create(bfb())
        patched = await bfbs.patch_status(
            "bundle", {"status": {"phase": "Ready"}, "metadata": {"labels": {"a": "1"}}, "spec": {"url": "x"}}
        )
        unpatched = await bfbs.patch("bundle", {"status": {"phase": "Error"}})

    assert patched.status.phase == unpatched.status.phase == "Ready"
    assert patched.spec.url == "http://example.com/b.bfb"


async def test_an_invalid_value_is_rejected_with_its_field(backend: Backend) -> None:
    async with backend.cluster() as site:
        dpf = site.dpf
        flavors = dpf.resource(DPUFlavor)
        await flavors.create(
            DPUFlavor.model_validate(
                {"metadata": {"name": "f"}, "spec": {"grub": {"kernelParameters": ["a"]}}}
            )
        )
        with pytest.raises(Invalid) as refused:
            await flavors.patch("f", {"spec": {"grub": {"kernelParameters": "not a list"}}})

    assert any(cause.field.startswith("spec") for cause in refused.value.causes)


async def test_f8_a_deletion_with_a_uid_deletes_only_the_object_with_that_uid(backend: Backend) -> None:
    async with backend.cluster() as site:
        dpf = site.dpf
        bfbs = dpf.resource(BFB)
        made = await bfbs.create(bfb())
        with pytest.raises(Conflict):
            await bfbs.delete("bundle", uid="another-uid")
        gone = await bfbs.delete("bundle", uid=made.uid)

    assert gone is None


async def test_a_dry_run_checks_everything_and_changes_nothing(backend: Backend) -> None:
    async with backend.cluster() as site:
        dpf = site.dpf
        bfbs = dpf.resource(BFB)
        tried = await bfbs.create(bfb(), dry_run=True)
        applied = await bfbs.apply(bfb("other"), dry_run=True)
        nothing = await bfbs.list()
        await bfbs.create(bfb())
        await bfbs.delete("bundle", dry_run=True)
        with pytest.raises(AlreadyExists):
            await bfbs.create(bfb(), dry_run=True)
        there = await bfbs.list()

    assert tried.uid
    assert applied.name == "other"
    assert nothing.items == ()
    assert [obj.name for obj in there.items] == ["bundle"]


async def test_m1_a_secret_is_written_and_read_and_appears_in_no_error(backend: Backend) -> None:
    secret = Secret.model_validate({"metadata": {"name": "bmc"}, "data": {"p": Secret.encoded(b"hunter2")}})

    async with backend.cluster() as site:
        dpf = site.dpf
        secrets = dpf.resource(Secret)
        await secrets.create(secret)
        read = await secrets.get("bmc")
        with pytest.raises(AlreadyExists) as refused:
            await secrets.create(secret)

    assert read.value("p") == b"hunter2"
    for shown in (repr(read), str(refused.value), repr(refused.value), repr(vars(refused.value))):
        assert "hunter2" not in shown
        assert Secret.encoded(b"hunter2") not in shown
