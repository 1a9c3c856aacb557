"""Typed create, read, update and delete, against a server that behaves as Kubernetes does, and one that does not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from dpf_async import (
    AlreadyExists,
    Conflict,
    ConnectionFailed,
    DecodeError,
    DPFClient,
    Gone,
    Invalid,
    NotFound,
    TooManyRequests,
    UsageError,
    crds,
)
from dpf_async.models import BFB, DPU, ConfigMap, DPUFlavor, Secret
from dpf_async.sim.apiserver import EmbeddedServer
from tests.support.clock import jumping
from tests.support.objects import dpu
from tests.support.scripted import Exchange, Scripted, listing, page, refusing, saying


def bfb(name: str = "bundle", url: str = "http://example.com/b.bfb", **metadata: Any) -> BFB:
    return BFB.model_validate({"metadata": {"name": name, **metadata}, "spec": {"url": url}})


@asynccontextmanager
async def kubernetes(**options: Any) -> AsyncIterator[DPFClient]:
    async with (
        EmbeddedServer(crds=crds.manifests()) as server,
        DPFClient(kubeconfig=server.kubeconfig(), **options) as dpf,
    ):
        yield dpf


async def test_what_was_created_is_read_back_with_what_the_server_added() -> None:
    async with kubernetes() as dpf:
        made = await dpf.resource(BFB).create(bfb(labels={"a": "b"}))
        read = await dpf.resource(BFB).get("bundle")

    assert made == read
    assert read.uid
    assert read.metadata.resource_version
    assert read.metadata.namespace == "dpf-operator-system"
    assert read.metadata.labels == {"a": "b"}
    assert read.spec.url == "http://example.com/b.bfb"


async def test_what_is_not_there_is_not_found_by_name() -> None:
    async with kubernetes() as dpf:
        bfbs = dpf.resource(BFB)
        for call in (bfbs.get, bfbs.snapshot, bfbs.delete, lambda name: bfbs.patch(name, {"metadata": {}})):
            with pytest.raises(NotFound, match="BFB nope") as missing:
                await call("nope")
            assert missing.value.object == "BFB nope"


async def test_a_name_is_taken_once() -> None:
    async with kubernetes() as dpf:
        await dpf.resource(BFB).create(bfb())
        with pytest.raises(AlreadyExists) as taken:
            await dpf.resource(BFB).create(bfb())

    assert not taken.value.terminating


async def test_f5_a_name_is_not_free_while_a_finalizer_holds_the_one_that_had_it() -> None:
    async with kubernetes() as dpf:
        await dpf.resource(BFB).create(bfb(finalizers=["example.com/hold"]))
        left = await dpf.resource(BFB).delete("bundle")
        with pytest.raises(AlreadyExists) as taken:
            await dpf.resource(BFB).create(bfb())

    assert left is not None
    assert left.metadata.deletion_timestamp
    assert taken.value.terminating


async def test_a_long_list_is_read_in_pages_and_is_whole() -> None:
    async with kubernetes() as dpf:
        config_maps = dpf.resource(ConfigMap)
        for n in range(501):
            await config_maps.create(ConfigMap.model_validate({"metadata": {"name": f"m-{n:03}"}}))
        listed = await config_maps.list()

    assert [obj.name for obj in listed.items] == [f"m-{n:03}" for n in range(501)]
    assert listed.resource_version


async def test_a_list_is_narrowed_by_both_selectors() -> None:
    async with kubernetes() as dpf:
        bfbs = dpf.resource(BFB)
        for name, rack in (("a", "1"), ("b", "1"), ("c", "2")):
            await bfbs.create(bfb(name, labels={"rack": rack}))
        by_label = await bfbs.list(label_selector="rack=1")
        by_both = await bfbs.list(label_selector="rack=1", field_selector="metadata.name=b")

    assert [obj.name for obj in by_label.items] == ["a", "b"]
    assert [obj.name for obj in by_both.items] == ["b"]


async def test_apply_creates_and_changes_and_leaves_the_fields_of_others_alone() -> None:
    async with kubernetes() as dpf:
        bfbs = dpf.resource(BFB)
        made = await bfbs.apply(bfb(labels={"ours": "1"}))
        await bfbs.patch("bundle", {"metadata": {"labels": {"theirs": "1"}}})
        changed = await bfbs.apply(bfb(labels={"ours": "2"}))

    assert changed.uid == made.uid
    assert changed.metadata.labels == {"ours": "2", "theirs": "1"}


async def test_apply_without_force_refuses_to_take_a_field_from_another_manager() -> None:
    async with (
        EmbeddedServer(crds=crds.manifests()) as server,
        DPFClient(kubeconfig=server.kubeconfig(), field_manager="one") as one,
        DPFClient(kubeconfig=server.kubeconfig(), field_manager="two") as two,
    ):
        await one.resource(BFB).apply(bfb(labels={"owner": "one"}))
        with pytest.raises(Conflict) as conflict:
            await two.resource(BFB).apply(bfb(labels={"owner": "two"}), force=False)
        taken = await two.resource(BFB).apply(bfb(labels={"owner": "two"}))

    assert '"one"' in str(conflict.value)
    assert any("labels" in cause.field for cause in conflict.value.causes)
    assert taken.metadata.labels == {"owner": "two"}


async def test_a_merge_patch_changes_what_it_names_and_removes_what_it_nulls() -> None:
    async with kubernetes() as dpf:
        bfbs = dpf.resource(BFB)
        await bfbs.create(bfb(labels={"keep": "1", "drop": "1"}))
        patched = await bfbs.patch("bundle", {"metadata": {"labels": {"drop": None, "new": "1"}}})

    assert patched.metadata.labels == {"keep": "1", "new": "1"}


async def test_a_json_patch_is_a_sequence_and_its_test_is_obeyed() -> None:
    async with kubernetes() as dpf:
        bfbs = dpf.resource(BFB)
        await bfbs.create(bfb(labels={"a": "1"}))
        patched = await bfbs.patch("bundle", [{"op": "replace", "path": "/metadata/labels/a", "value": "2"}])
        with pytest.raises(Invalid):
            await bfbs.patch("bundle", [{"op": "test", "path": "/metadata/labels/a", "value": "7"}])

    assert patched.metadata.labels == {"a": "2"}


async def test_a_patch_meant_for_another_incarnation_or_another_state_is_a_conflict() -> None:
    async with kubernetes() as dpf:
        bfbs = dpf.resource(BFB)
        made = await bfbs.create(bfb())
        await bfbs.patch("bundle", {"metadata": {"labels": {"a": "1"}}}, uid=made.uid)
        with pytest.raises(Conflict, match="another object"):
            await bfbs.patch("bundle", {"metadata": {"labels": {"a": "2"}}}, uid="somebody-else")
        stale = {"resourceVersion": made.metadata.resource_version, "labels": {"a": "2"}}
        with pytest.raises(Conflict):
            await bfbs.patch("bundle", {"metadata": stale})
        there = await bfbs.get("bundle")

    assert there.metadata.labels == {"a": "1"}


async def test_a_patch_of_the_status_leaves_everything_else_alone() -> None:
    async with kubernetes() as dpf:
        bfbs = dpf.resource(BFB)
        await bfbs.create(bfb())
        patched = await bfbs.patch_status(
            "bundle", {"status": {"phase": "Ready"}, "metadata": {"labels": {"a": "1"}}, "spec": {"url": "x"}}
        )
        unpatched = await bfbs.patch("bundle", {"status": {"phase": "Error"}})

    assert patched.status.phase == unpatched.status.phase == "Ready"
    assert patched.spec.url == "http://example.com/b.bfb"


async def test_a_kind_without_a_status_says_so_before_anything_is_sent() -> None:
    async with Scripted() as server, server.client() as dpf:
        with pytest.raises(UsageError, match="ConfigMap has no status subresource"):
            await dpf.resource(ConfigMap).patch_status("m", {"status": {}})

    assert server.requests == []


async def test_what_breaks_a_rule_is_refused_with_its_field() -> None:
    async with kubernetes() as dpf:
        flavors = dpf.resource(DPUFlavor)
        await flavors.create(
            DPUFlavor.model_validate(
                {"metadata": {"name": "f"}, "spec": {"grub": {"kernelParameters": ["a"]}}}
            )
        )
        with pytest.raises(Invalid) as refused:
            await flavors.patch("f", {"spec": {"grub": {"kernelParameters": "not a list"}}})

    assert any(cause.field.startswith("spec") for cause in refused.value.causes)


async def test_f8_a_deletion_is_for_one_incarnation_only_if_it_says_which() -> None:
    async with kubernetes() as dpf:
        bfbs = dpf.resource(BFB)
        made = await bfbs.create(bfb())
        with pytest.raises(Conflict):
            await bfbs.delete("bundle", uid="somebody-else")
        gone = await bfbs.delete("bundle", uid=made.uid)

    assert gone is None


async def test_a_dry_run_checks_everything_and_changes_nothing() -> None:
    async with kubernetes() as dpf:
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


async def test_m1_a_secret_goes_there_and_back_and_shows_in_no_error() -> None:
    secret = Secret.model_validate({"metadata": {"name": "bmc"}, "data": {"p": Secret.encoded(b"hunter2")}})

    async with kubernetes() as dpf:
        secrets = dpf.resource(Secret)
        await secrets.create(secret)
        read = await secrets.get("bmc")
        with pytest.raises(AlreadyExists) as taken:
            await secrets.create(secret)

    assert read.value("p") == b"hunter2"
    for shown in (repr(read), str(taken.value), repr(taken.value), repr(vars(taken.value))):
        assert "hunter2" not in shown
        assert Secret.encoded(b"hunter2") not in shown


@pytest.mark.parametrize("name", ["", ".", ".."])
@jumping
async def test_what_is_no_name_never_becomes_a_request_about_something_else(name: str) -> None:
    async with Scripted() as server, server.client() as dpf:
        for call in (dpf.resource(BFB).get, dpf.resource(BFB).delete):
            with pytest.raises(UsageError, match="name"):
                await call(name)

    assert server.requests == []


@pytest.mark.parametrize("name", ["a/b", "../x", "a?x=y", "ä", "%2e", "%2f"])
@jumping
async def test_a_name_is_one_part_of_a_path_whatever_is_in_it(name: str) -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = refusing(404, "NotFound")
        with pytest.raises(NotFound):
            await dpf.resource(BFB).get(name)

    (request,) = server.requests
    assert (
        request.path
        == f"/apis/provisioning.dpu.nvidia.com/v1alpha1/namespaces/dpf-operator-system/bfbs/{name}"
    )
    assert request.query == {}


# A server in trouble.


@jumping
async def test_a_server_that_asks_to_slow_down_is_asked_again_after_the_time_it_named() -> None:
    async with Scripted() as server, server.client() as dpf:
        busy = refusing(429, "TooManyRequests", {"Retry-After": "7"})
        answers = iter([busy, busy, saying(200, dpu("a", 10))])

        async def answer(exchange: Exchange) -> None:
            await next(answers)(exchange)

        server.on_other = answer
        began = anyio.current_time()
        got = await dpf.resource(DPU).get("a")
        took = anyio.current_time() - began

    assert got.name == "a"
    assert took == pytest.approx(14, abs=0.1)


@jumping
async def test_a_list_that_is_throttled_is_read_again_like_everything_else() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.next_lists.append(refusing(429, "TooManyRequests", {"Retry-After": "7"}))
        listed = await dpf.resource(DPU).list()

    assert [obj.name for obj in listed.items] == ["a"]


@jumping
async def test_a_server_that_goes_on_asking_to_slow_down_is_an_error_in_the_end() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = refusing(429, "TooManyRequests", {"Retry-After": "7"})
        with pytest.raises(TooManyRequests) as throttled:
            await dpf.resource(DPU).get("a")

    assert throttled.value.retry_after == 7
    assert len(server.requests) == 5


@pytest.mark.parametrize("code", [500, 502, 503, 504])
@jumping
async def test_a_write_that_may_have_been_done_is_not_done_again(code: int) -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = refusing(code)
        with pytest.raises(Exception, match=f"scripted {code}"):
            await dpf.resource(DPU).delete("a")

    assert len(server.requests) == 1


@jumping
async def test_a4_a_list_whose_token_expired_starts_over_in_one_piece() -> None:
    async with Scripted(dpu("b", 11)) as server, server.client() as dpf:
        server.next_lists.append(saying(200, listing([dpu("ghost", 10)], 100, continue_="2")))
        server.next_lists.append(refusing(410, "Expired"))
        listed = await dpf.resource(DPU).list()

    assert [obj.name for obj in listed.items] == ["b"]
    assert [dict(request.query) for request in server.requests] == [
        {"limit": "500"},
        {"limit": "500", "continue": "2"},
        {},
    ]


@jumping
async def test_a5_a_list_that_expires_every_time_is_gone() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_list = refusing(410, "Expired")
        with pytest.raises(Gone):
            await dpf.resource(DPU).list()

    assert len(server.requests) == 3


@jumping
async def test_m9_a_list_whose_pages_lead_in_a_circle_is_given_up() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_list = saying(200, listing([dpu("a", 10)], 100, continue_="again"))
        with pytest.raises(DecodeError, match="does not end"):
            await dpf.resource(DPU).list()

    assert len(server.requests) == 2


@jumping
async def test_g3_what_cannot_be_read_is_listed_apart() -> None:
    odd = dpu("odd", 11)
    odd["status"]["addresses"] = 7

    async with Scripted(dpu("a", 10), odd, dpu("bad", 12) | {"spec": 7}) as server, server.client() as dpf:
        listed = await dpf.resource(DPU).list()

    assert [obj.name for obj in listed.items] == ["a"]
    assert sorted(obj.name for obj in listed.undecodable) == ["bad", "odd"]


@jumping
async def test_an_answer_that_is_not_from_kubernetes_is_no_object() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = page(200)
        for call in (dpf.resource(DPU).get, dpf.resource(DPU).delete):
            with pytest.raises(ConnectionFailed, match="not JSON"):
                await call("a")
        with pytest.raises(ConnectionFailed, match="not JSON"):
            await dpf.server_version()
        server.on_other = saying(200, b"{")
        for call in (dpf.resource(DPU).get, dpf.resource(DPU).delete):
            with pytest.raises(DecodeError):
                await call("a")
        with pytest.raises(DecodeError):
            await dpf.server_version()


@jumping
async def test_the_version_of_the_server_is_what_it_says() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = saying(200, {"major": "1", "gitVersion": "v1.34.1"})
        assert await dpf.server_version() == "v1.34.1"

    assert server.requests[0].path == "/version"


async def test_a_client_that_is_not_entered_says_how_to() -> None:
    dpf = DPFClient()

    with pytest.raises(UsageError, match="async with DPFClient"):
        dpf.resource(DPU)
