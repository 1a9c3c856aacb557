"""Deletion of objects, and garbage collection."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sim.apiserver.api import API, CONFIG_MAPS, SECRETS, WIDGETS, serving, widget


def owned(name: str, *owners: dict[str, Any], blocking: bool = False, **metadata: Any) -> dict[str, Any]:
    references = [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            **({"blockOwnerDeletion": True} if blocking else {}),
        }
        for owner in owners
    ]
    return widget(name, ownerReferences=references, **metadata)


async def names(api: API) -> list[str]:
    await api.server.settled()
    listed = await api.get(WIDGETS)
    return [item["metadata"]["name"] for item in listed.body["items"]]


async def test_an_object_without_finalizers_is_removed_immediately() -> None:
    async with serving() as api:
        made = await api.create(WIDGETS, widget("a"))

        deleted = await api.delete(f"{WIDGETS}/a")

        assert deleted.code == 200
        assert deleted.body == {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": {
                "name": "a",
                "group": "example.com",
                "kind": "widgets",
                "uid": made.body["metadata"]["uid"],
            },
        }
        assert (await api.get(f"{WIDGETS}/a")).code == 404


async def test_a_deleted_object_is_removed_with_its_last_finalizer() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a", finalizers=["x.io/one", "x.io/two"]))

        first = await api.delete(f"{WIDGETS}/a")
        again = await api.delete(f"{WIDGETS}/a")
        fewer = await api.merge(f"{WIDGETS}/a", {"metadata": {"finalizers": ["x.io/two"]}})
        last = await api.merge(f"{WIDGETS}/a", {"metadata": {"finalizers": None}})

        meta = first.body["metadata"]
        assert meta["deletionTimestamp"].endswith("Z")
        assert meta["deletionGracePeriodSeconds"] == 0
        assert meta["generation"] == 2
        assert again.version == first.version
        assert fewer.body["metadata"]["deletionTimestamp"] == meta["deletionTimestamp"]
        assert last.code == 200
        assert (await api.get(f"{WIDGETS}/a")).code == 404


async def test_a_terminating_object_accepts_no_new_finalizers_and_blocks_its_name() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a", finalizers=["x.io/one"]))
        await api.delete(f"{WIDGETS}/a")

        added = await api.merge(f"{WIDGETS}/a", {"metadata": {"finalizers": ["x.io/one", "x.io/new"]}})
        created = await api.create(WIDGETS, widget("a"))

        text = (
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found "
            'new finalizers []string{"x.io/new"}'
        )
        assert (added.code, added.message) == (422, f'Widget.example.com "a" is invalid: {text}')
        assert created.code == 409
        assert created.message == 'object is being deleted: widgets.example.com "a" already exists'


@pytest.mark.parametrize(
    ("preconditions", "message"),
    [
        (
            {"uid": "other"},
            (
                "the UID in the precondition (other) does not match the UID in record ({uid}). "
                "The object might have been deleted and then recreated"
            ),
        ),
        (
            {"resourceVersion": "1"},
            (
                "the ResourceVersion in the precondition (1) does not match the ResourceVersion in record ({version}). "
                "The object might have been modified"
            ),
        ),
    ],
)
async def test_a_deletion_with_a_wrong_precondition_is_a_conflict(
    preconditions: dict[str, str], message: str
) -> None:
    async with serving() as api:
        made = await api.create(WIDGETS, widget("a"))

        refused = await api.delete(f"{WIDGETS}/a", {"preconditions": preconditions})

        expected = message.format(uid=made.body["metadata"]["uid"], version=made.version)
        assert refused.code == 409
        assert refused.message == f'Operation cannot be fulfilled on Widget.example.com "a": {expected}'
        assert (await api.get(f"{WIDGETS}/a")).code == 200


async def test_an_unknown_propagation_policy_is_rejected() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))

        refused = await api.delete(f"{WIDGETS}/a", propagationPolicy="Sometimes")

        assert refused.code == 422
        assert refused.causes == [
            (
                "FieldValueNotSupported",
                "propagationPolicy",
                'Unsupported value: "Sometimes": supported values: "Foreground", "Background", "Orphan", "nil"',
            )
        ]


async def test_orphan_dependents_is_honored_but_not_with_a_propagation_policy() -> None:
    async with serving() as api:
        owner = (await api.create(WIDGETS, widget("owner"))).body
        await api.create(WIDGETS, owned("child", owner))

        both = await api.delete(f"{WIDGETS}/owner", {"orphanDependents": True, "propagationPolicy": "Orphan"})
        await api.delete(f"{WIDGETS}/owner", orphanDependents="true")

        text = "orphanDependents and deletionPropagation cannot be both set"
        assert both.causes == [("FieldValueInvalid", "propagationPolicy", f'Invalid value: "Orphan": {text}')]
        assert await names(api) == ["child"]


async def test_a_dry_run_deletion_deletes_nothing() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))

        answered = await api.delete(f"{WIDGETS}/a", dryRun="All")

        assert answered.body["status"] == "Success"
        assert (await api.get(f"{WIDGETS}/a")).code == 200


async def test_a_collection_is_deleted_by_selector() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a", labels={"k": "1"}))
        await api.create(WIDGETS, widget("b", labels={"k": "2"}))

        deleted = await api.delete(WIDGETS, labelSelector="k=1")

        assert [item["metadata"]["name"] for item in deleted.body["items"]] == ["a"]
        assert await names(api) == ["b"]


async def test_dependents_are_deleted_with_their_last_owner() -> None:
    async with serving() as api:
        one = (await api.create(WIDGETS, widget("one"))).body
        two = (await api.create(WIDGETS, widget("two"))).body
        await api.create(WIDGETS, owned("both", one, two))
        await api.create(WIDGETS, owned("single", one))

        await api.delete(f"{WIDGETS}/one")

        assert await names(api) == ["both", "two"]
        left = (await api.get(f"{WIDGETS}/both")).body["metadata"]["ownerReferences"]
        assert [reference["name"] for reference in left] == ["two"]


async def test_garbage_collection_follows_chains_of_owners() -> None:
    async with serving() as api:
        one = (await api.create(WIDGETS, widget("one"))).body
        two = (await api.create(WIDGETS, owned("two", one))).body
        await api.create(WIDGETS, owned("three", two))

        await api.delete(f"{WIDGETS}/one")

        assert await names(api) == []


async def test_an_object_whose_owner_has_another_uid_is_collected() -> None:
    async with serving() as api:
        stale = (await api.create(WIDGETS, widget("owner"))).body
        await api.delete(f"{WIDGETS}/owner")
        await api.create(WIDGETS, widget("owner"))

        await api.create(WIDGETS, owned("child", stale))

        assert await names(api) == ["owner"]


async def test_owners_of_unknown_kinds_count_as_existing_and_owners_in_other_namespaces_as_absent() -> None:
    async with serving(namespaces=("default", "other")) as api:
        stranger = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "uid": "u"}}
        elsewhere = (await api.create(WIDGETS.replace("default", "other"), widget("owner"))).body
        node = (await api.create("/api/v1/nodes", {"metadata": {"name": "n"}})).body

        await api.create(WIDGETS, owned("stranger", stranger))
        await api.create(WIDGETS, owned("elsewhere", elsewhere))
        await api.create(WIDGETS, owned("cluster", node))

        assert await names(api) == ["cluster", "stranger"]


async def test_orphaned_dependents_stay_and_lose_their_owner_reference() -> None:
    async with serving() as api:
        owner = (await api.create(WIDGETS, widget("owner"))).body
        await api.create(WIDGETS, owned("child", owner))

        await api.delete(f"{WIDGETS}/owner", {"propagationPolicy": "Orphan"})

        assert await names(api) == ["child"]
        assert "ownerReferences" not in (await api.get(f"{WIDGETS}/child")).body["metadata"]


async def test_foreground_deletion_waits_for_dependents_that_block_it() -> None:
    async with serving() as api:
        owner = (await api.create(WIDGETS, widget("owner"))).body
        await api.create(WIDGETS, owned("child", owner, blocking=True, finalizers=["x.io/hold"]))

        deleted = await api.delete(f"{WIDGETS}/owner", propagationPolicy="Foreground")
        assert await names(api) == ["child", "owner"]
        await api.merge(f"{WIDGETS}/child", {"metadata": {"finalizers": None}})

        assert deleted.body["metadata"]["finalizers"] == ["foregroundDeletion"]
        assert await names(api) == []


async def test_foreground_deletion_does_not_wait_for_dependents_that_do_not_block_it() -> None:
    async with serving() as api:
        owner = (await api.create(WIDGETS, widget("owner"))).body
        await api.create(WIDGETS, owned("child", owner, finalizers=["x.io/hold"]))

        await api.delete(f"{WIDGETS}/owner", propagationPolicy="Foreground")

        assert await names(api) == ["child"]
        assert (await api.get(f"{WIDGETS}/child")).body["metadata"]["deletionTimestamp"]


async def test_foreground_deletion_ends_when_a_dependent_no_longer_blocks_it() -> None:
    async with serving() as api:
        owner = (await api.create(WIDGETS, widget("owner"))).body
        child = await api.create(WIDGETS, owned("child", owner, blocking=True, finalizers=["x.io/hold"]))
        await api.delete(f"{WIDGETS}/owner", propagationPolicy="Foreground")
        assert await names(api) == ["child", "owner"]

        (reference,) = child.body["metadata"]["ownerReferences"]
        released = [{**reference, "blockOwnerDeletion": False}]
        await api.merge(f"{WIDGETS}/child", {"metadata": {"ownerReferences": released}})

        assert await names(api) == ["child"]


async def test_foreground_deletion_covers_the_complete_chain_of_owners() -> None:
    async with serving() as api:
        one = (await api.create(WIDGETS, widget("one"))).body
        two = (await api.create(WIDGETS, owned("two", one, blocking=True))).body
        await api.create(WIDGETS, owned("three", two, blocking=True, finalizers=["x.io/hold"]))

        await api.delete(f"{WIDGETS}/one", propagationPolicy="Foreground")
        assert await names(api) == ["one", "three", "two"]
        await api.merge(f"{WIDGETS}/three", {"metadata": {"finalizers": None}})

        assert await names(api) == []


async def test_orphaned_dependents_keep_their_other_owners() -> None:
    async with serving() as api:
        one = (await api.create(WIDGETS, widget("one"))).body
        two = (await api.create(WIDGETS, widget("two"))).body
        await api.create(WIDGETS, owned("child", one, two, finalizers=["x.io/keep"]))

        await api.delete(f"{WIDGETS}/one", propagationPolicy="Orphan")
        await api.server.settled()

        meta = (await api.get(f"{WIDGETS}/child")).body["metadata"]
        assert [reference["name"] for reference in meta["ownerReferences"]] == ["two"]
        assert meta["finalizers"] == ["x.io/keep"]
        assert "deletionTimestamp" not in meta


async def test_deleting_a_namespace_deletes_its_objects() -> None:
    async with serving(namespaces=("default", "doomed")) as api:
        there = WIDGETS.replace("default", "doomed")
        await api.create(there, widget("held", finalizers=["x.io/hold"]))
        await api.create(CONFIG_MAPS.replace("default", "doomed"), {"metadata": {"name": "c"}})

        deleted = await api.delete("/api/v1/namespaces/doomed")
        await api.server.settled()
        refused = await api.create(SECRETS.replace("default", "doomed"), {"metadata": {"name": "s"}})
        await api.merge(f"{there}/held", {"metadata": {"finalizers": None}})
        await api.server.settled()

        assert deleted.body["status"]["phase"] == "Terminating"
        assert refused.code == 403
        assert refused.message == (
            'secrets "s" is forbidden: unable to create new content in namespace doomed because it is being terminated'
        )
        assert (await api.get("/api/v1/namespaces/doomed")).code == 404


async def test_the_default_namespace_cannot_be_deleted() -> None:
    async with serving() as api:
        refused = await api.delete("/api/v1/namespaces/default")

        assert refused.message == 'namespaces "default" is forbidden: this namespace may not be deleted'


async def test_without_controllers_only_the_objects_of_deleted_crds_are_collected() -> None:
    async with serving(controllers=False) as api:
        owner = (await api.create(CONFIG_MAPS, {"metadata": {"name": "owner"}})).body
        await api.create(WIDGETS, owned("a", {**owner, "apiVersion": "v1", "kind": "ConfigMap"}))
        await api.delete(f"{CONFIG_MAPS}/owner")
        await api.delete("/api/v1/namespaces/default")
        await api.server.settled()

        left = await api.get(f"{WIDGETS}/a")
        namespace = await api.get("/api/v1/namespaces/default")
        await api.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com")
        await api.server.settled()

        assert left.code == 200
        assert namespace.code == 200
        assert (await api.get(WIDGETS)).code == 404
