"""Lists: order, selectors, pages and resourceVersions."""

from __future__ import annotations

import base64
import json

import anyio
import anyio.lowlevel
import pytest

from tests.sim.apiserver.api import (
    ALL_WIDGETS,
    API,
    CONFIG_MAPS,
    SECRETS,
    STRING,
    WIDGETS,
    Reply,
    definition,
    serving,
    widget,
)


def names(listed: Reply) -> list[str]:
    return [item["metadata"]["name"] for item in listed.body["items"]]


async def fill(api: API, *wanted: str) -> None:
    for name in wanted:
        assert (await api.create(WIDGETS, widget(name))).code == 201


async def test_a_list_has_its_kind_and_resource_version() -> None:
    async with serving() as api:
        await fill(api, "b", "a")

        listed = await api.get(WIDGETS)

        assert names(listed) == ["a", "b"]
        assert listed.body["kind"] == "WidgetList"
        assert listed.body["apiVersion"] == "example.com/v1"
        assert listed.body["metadata"] == {
            "continue": "",
            "resourceVersion": str(api.server.resource_version),
        }
        assert listed.body["items"][0]["kind"] == "Widget"


async def test_items_of_core_lists_do_not_repeat_their_kind() -> None:
    async with serving() as api:
        await api.create(CONFIG_MAPS, {"metadata": {"name": "c"}})

        listed = await api.get(CONFIG_MAPS)

        assert "kind" not in listed.body["items"][0]
        assert listed.body["metadata"] == {"resourceVersion": str(api.server.resource_version)}


async def test_all_namespaces_are_listed_in_the_order_of_their_keys() -> None:
    async with serving(namespaces=("default", "a", "a-b")) as api:
        for namespace in ("default", "a", "a-b"):
            await api.create(WIDGETS.replace("default", namespace), widget("w"))

        listed = await api.get(ALL_WIDGETS)

        # etcd orders "a-b/w" before "a/w": "-" sorts before "/".
        assert [item["metadata"]["namespace"] for item in listed.body["items"]] == ["a-b", "a", "default"]


async def test_pages_are_one_snapshot_regardless_of_later_writes() -> None:
    async with serving() as api:
        await fill(api, "a", "b", "c", "d", "e")

        first = await api.get(WIDGETS, limit=2)
        await api.delete(f"{WIDGETS}/c")
        await api.merge(f"{WIDGETS}/d", {"spec": {"size": 9}})
        await fill(api, "bb", "f")
        second = await api.get(WIDGETS, limit=2, **{"continue": first.body["metadata"]["continue"]})
        third = await api.get(WIDGETS, limit=2, **{"continue": second.body["metadata"]["continue"]})

        assert [names(page) for page in (first, second, third)] == [["a", "b"], ["c", "d"], ["e"]]
        assert first.version == second.version == third.version
        assert first.body["metadata"]["remainingItemCount"] == 3
        assert second.body["metadata"]["remainingItemCount"] == 1
        assert third.body["metadata"]["continue"] == ""
        assert second.body["items"][1]["spec"]["size"] == 1


async def test_pages_with_a_selector_do_not_count_what_remains() -> None:
    async with serving() as api:
        for name in ("a", "b", "c"):
            await api.create(WIDGETS, widget(name, labels={"odd": str(name != "b")}))

        page = await api.get(WIDGETS, limit=1, labelSelector="odd=True")
        rest = await api.get(
            WIDGETS, labelSelector="odd=True", **{"continue": page.body["metadata"]["continue"]}
        )

        assert "remainingItemCount" not in page.body["metadata"]
        assert (names(page), names(rest)) == (["a"], ["c"])


async def test_an_expired_continue_token_is_answered_with_an_inconsistent_one() -> None:
    async with serving() as api:
        await fill(api, "a", "b", "c")
        first = await api.get(WIDGETS, limit=1)
        await api.delete(f"{WIDGETS}/a")
        api.server.compact()

        expired = await api.get(WIDGETS, limit=1, **{"continue": first.body["metadata"]["continue"]})
        token = expired.body["metadata"]["continue"]
        rest = await api.get(WIDGETS, **{"continue": token})

        assert (expired.code, expired.body["reason"]) == (410, "Expired")
        assert expired.message.startswith(
            "The provided continue parameter is too old to display a consistent list"
        )
        assert json.loads(base64.urlsafe_b64decode(token + "==="))["rv"] == -1
        assert names(rest) == ["b", "c"]
        assert rest.version == str(api.server.resource_version) != first.version


def token_of(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("!", "illegal base64 data at input byte 0"),
        (token_of([]), "server does not recognize this encoded version "),
        (token_of({"v": "v0"}), "server does not recognize this encoded version v0"),
        (
            token_of({"v": "meta.k8s.io/v1", "start": "a"}),
            "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
        ),
        (token_of({"v": "meta.k8s.io/v1", "rv": 1}), "encoded start key empty (version meta.k8s.io/v1)"),
    ],
)
async def test_an_invalid_continue_token_is_rejected(token: str, why: str) -> None:
    async with serving() as api:
        refused = await api.get(WIDGETS, **{"continue": token})

        assert refused.code == 400
        assert refused.message == f"invalid continue token: continue key is not valid: {why}"


async def test_a_list_at_resource_version_0_has_no_pages() -> None:
    async with serving() as api:
        await fill(api, "a", "b")

        listed = await api.get(WIDGETS, limit=1, resourceVersion=0)

        assert names(listed) == ["a", "b"]


async def test_a_list_at_an_exact_version_has_the_state_of_that_version() -> None:
    async with serving() as api:
        await fill(api, "a")
        then = api.server.resource_version
        await fill(api, "b")
        await api.delete(f"{WIDGETS}/a")

        past = await api.get(WIDGETS, resourceVersion=then, resourceVersionMatch="Exact")
        legacy = await api.get(WIDGETS, resourceVersion=then, limit=10)
        fresh = await api.get(WIDGETS, resourceVersion=then, resourceVersionMatch="NotOlderThan")
        any_version = await api.get(WIDGETS, resourceVersion=0)

        assert names(past) == names(legacy) == ["a"]
        assert past.version == str(then)
        assert names(fresh) == names(any_version) == ["b"]


async def test_a_list_at_a_future_version_times_out_unless_the_version_is_reached() -> None:
    async with serving(freshness_timeout=0.05) as api:
        future = api.server.resource_version + 1

        late = await api.get(WIDGETS, resourceVersion=future, resourceVersionMatch="NotOlderThan")
        exact = await api.get(WIDGETS, resourceVersion=future, resourceVersionMatch="Exact")
        one = await api.get(f"{WIDGETS}/a", resourceVersion=future)

        assert late.code == 504
        assert late.message == f"Timeout: Too large resource version: {future}, current: {future - 1}"
        assert late.headers["Retry-After"] == "1"
        assert late.body["details"] == {
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        }
        assert exact.body == one.body == late.body


async def test_a_read_waits_for_its_resource_version() -> None:
    async with serving(freshness_timeout=5) as api:
        await fill(api, "a")
        future = api.server.resource_version + 1
        replies: list[Reply] = []

        async def read() -> None:
            replies.append(await api.get(f"{WIDGETS}/a", resourceVersion=future))

        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await anyio.lowlevel.checkpoint()
            await api.merge(f"{WIDGETS}/a", {"spec": {"size": 2}})

        assert replies[0].body["spec"]["size"] == 2


async def test_a_list_at_an_expired_version_is_answered_with_410() -> None:
    async with serving() as api:
        await fill(api, "a")
        then = api.server.resource_version
        await fill(api, "b")
        api.server.compact()

        gone = await api.get(WIDGETS, resourceVersion=then, resourceVersionMatch="Exact")

        still = await api.get(
            WIDGETS, resourceVersion=api.server.resource_version, resourceVersionMatch="Exact"
        )
        assert names(still) == ["a", "b"]
        assert (gone.code, gone.body["reason"]) == (410, "Expired")
        assert gone.message == "The resourceVersion for the provided list is too old."


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        (
            {"resourceVersionMatch": "Exact"},
            "resourceVersionMatch",
            "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        (
            {"resourceVersionMatch": "Exact", "resourceVersion": "0"},
            "resourceVersionMatch",
            'Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
        ),
        (
            {"resourceVersionMatch": "Roughly", "resourceVersion": "1"},
            "resourceVersionMatch",
            'Unsupported value: "Roughly": supported values: "Exact", "NotOlderThan", ""',
        ),
        (
            {"watch": "1", "sendInitialEvents": "1", "resourceVersionMatch": "NotOlderThan", "continue": "x"},
            "resourceVersionMatch",
            "Forbidden: resourceVersionMatch is forbidden when continue is provided",
        ),
        (
            {"resourceVersion": "1", "resourceVersionMatch": "NotOlderThan", "continue": "x"},
            "resourceVersionMatch",
            "Forbidden: resourceVersionMatch is forbidden when continue is provided",
        ),
        (
            {"sendInitialEvents": "true"},
            "sendInitialEvents",
            "Forbidden: sendInitialEvents is forbidden for list",
        ),
        (
            {"watch": "1", "sendInitialEvents": "true"},
            "resourceVersionMatch",
            "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        (
            {"watch": "1", "resourceVersionMatch": "NotOlderThan"},
            "resourceVersionMatch",
            "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
    ],
)
async def test_contradicting_options_are_rejected(query: dict[str, str], field: str, message: str) -> None:
    async with serving() as api:
        refused = await api.get(WIDGETS, **query)

        assert refused.code == 422
        assert refused.message == f'ListOptions.meta.k8s.io "" is invalid: {field}: {message}'


async def test_a_malformed_version_is_answered_with_400_or_500() -> None:
    async with serving() as api:
        text = 'resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax'

        listed = await api.get(WIDGETS, resourceVersion="abc")
        others = [
            await api.get(WIDGETS, resourceVersion="abc", watch="1"),
            await api.get(f"{WIDGETS}/a", resourceVersion="abc"),
        ]

        assert (listed.code, listed.message) == (400, f"invalid resource version: {text}")
        for other in others:
            assert (other.code, other.message) == (500, text)
            assert "reason" not in other.body


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("app=a", ["one"]),
        ("app==a", ["one"]),
        ("app!=a", ["three", "two"]),
        ("app in (a,b)", ["one", "two"]),
        ("app notin (a)", ["three", "two"]),
        ("app", ["one", "two"]),
        ("!app", ["three"]),
        ("app,tier=x", ["two"]),
        ("app=", []),
        ("weight>5", ["two"]),
        ("weight<5", ["one"]),
        ("weight>9", []),
        ("weight<1", []),
        ("", ["one", "three", "two"]),
    ],
)
async def test_label_selectors_select_objects(selector: str, expected: list[str]) -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("one", labels={"app": "a", "weight": "1"}))
        await api.create(WIDGETS, widget("two", labels={"app": "b", "tier": "x", "weight": "9"}))
        await api.create(WIDGETS, widget("three"))

        listed = await api.get(WIDGETS, labelSelector=selector)

        assert names(listed) == expected


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"labelSelector": "a in b"}, "unable to parse requirement: found 'b' expected: '('"),
        (
            {"labelSelector": "a b"},
            "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
        ),
        ({"labelSelector": "a,,b"}, "found ',', expected: identifier after ','"),
        ({"labelSelector": "a=b c"}, "found 'c', expected: ',' or 'end of string'"),
        ({"labelSelector": "=b"}, "found '=', expected: !, identifier, or 'end of string'"),
        (
            {"labelSelector": "n>x"},
            (
                "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' "
                "operators, the value must "
                "be an integer"
            ),
        ),
        ({"fieldSelector": "spec.size=1"}, "field label not supported: spec.size"),
        ({"fieldSelector": "invalid"}, "invalid selector: 'invalid'; can't understand 'invalid'"),
        ({"limit": "x"}, 'strconv.ParseInt: parsing "x": invalid syntax'),
    ],
)
async def test_an_invalid_selector_is_rejected(query: dict[str, str], message: str) -> None:
    async with serving() as api:
        refused = await api.get(WIDGETS, **query)

        assert (refused.code, refused.message) == (400, message)


async def test_an_unsupported_field_selector_of_a_core_kind_is_reported_with_the_supported_ones() -> None:
    async with serving() as api:
        refused = await api.get(CONFIG_MAPS, fieldSelector="data.k=v")

        expected = '"data.k" is not a known field selector: only "metadata.name", "metadata.namespace"'
        assert refused.message == expected


async def test_field_selectors_select_names_and_the_selectable_fields_of_a_crd() -> None:
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"colour": STRING}}},
    }
    crd = definition(schema=schema, selectableFields=[{"jsonPath": ".spec.colour"}])
    async with serving(crd) as api:
        await api.create(WIDGETS, widget("a", {"colour": "red"}))
        await api.create(WIDGETS, widget("b", {"colour": "blue"}))
        await api.create(WIDGETS, widget("c", {}))

        by_name = await api.get(WIDGETS, fieldSelector="metadata.name=a,metadata.namespace=default")
        by_colour = await api.get(WIDGETS, fieldSelector="spec.colour!=red")

        assert names(by_name) == ["a"]
        assert names(by_colour) == ["b", "c"]


async def test_secrets_are_selected_by_their_type() -> None:
    async with serving() as api:
        await api.create(SECRETS, {"metadata": {"name": "a"}})
        await api.create(SECRETS, {"metadata": {"name": "b"}, "type": "example.com/special"})

        assert names(await api.get(SECRETS, fieldSelector="type=example.com/special")) == ["b"]


async def test_a_large_list_is_compressed_if_the_client_accepts_gzip() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a", annotations={"k": "x" * 200_000}))

        async with api.session.get(WIDGETS, headers={"Accept-Encoding": "gzip"}) as packed:
            body = await packed.json()
        async with api.session.get(WIDGETS, headers={"Accept-Encoding": "identity"}) as plain:
            await plain.read()

        assert packed.headers["Content-Encoding"] == "gzip"
        assert len(body["items"]) == 1
        assert "Content-Encoding" not in plain.headers
