"""Served paths and methods, and the answers to all others."""

from __future__ import annotations

import pytest

from tests.sim.apiserver.api import ALL_WIDGETS, CONFIG_MAPS, GROUP, WIDGETS, Stream, serving, widget

LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
NO_PATH = "the server could not find the requested resource"
NO_METHOD = "the server does not allow this method on the requested resource"


@pytest.mark.parametrize(
    "path",
    [
        "/api/v9",
        "/api/v1/namespaces/default/nothings",
        "/api/v1/configmaps/a",
        f"{CONFIG_MAPS}/a/status",
        f"{CONFIG_MAPS}/a/b/c",
        "/apis/coordination.k8s.io/v9",
        f"{LEASES}/a/unknown",
        f"{REVIEWS}/a",
    ],
)
async def test_an_unknown_path_below_a_group_of_core_kinds_is_answered_with_a_status(path: str) -> None:
    async with serving() as api:
        missing = await api.get(path)

        assert (missing.code, missing.message) == (404, NO_PATH)
        assert missing.body["details"] == {}


@pytest.mark.parametrize("more", ["scale", "unknown", "unknown/deeper"])
async def test_an_unknown_subresource_of_a_custom_resource_is_reported_as_the_object_not_found(
    more: str,
) -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))

        missing = await api.get(f"{WIDGETS}/a/{more}")

        assert (missing.code, missing.message) == (404, 'widgets.example.com "a" not found')


@pytest.mark.parametrize(
    "path", ["/nowhere", "/apis/no.such.group", f"/apis/{GROUP}/v9", f"/apis/{GROUP}/v1/widgets/a"]
)
async def test_other_unknown_paths_are_answered_in_plain_text(path: str) -> None:
    async with serving() as api:
        missing = await api.get(path)

        assert (missing.code, missing.body) == (404, "404 page not found\n")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", CONFIG_MAPS),
        ("POST", f"{CONFIG_MAPS}/a"),
        ("GET", REVIEWS),
        ("DELETE", "/api/v1/namespaces"),
        ("POST", "/version"),
        ("POST", "/api/v1"),
    ],
)
async def test_an_unsupported_method_on_a_core_kind_is_not_allowed(method: str, path: str) -> None:
    async with serving() as api:
        refused = await api.call(method, path, {})

        assert (refused.code, refused.message) == (405, NO_METHOD)


@pytest.mark.parametrize(
    ("method", "path", "verb"), [("POST", f"{WIDGETS}/a/status", "create"), ("OPTIONS", WIDGETS, "")]
)
async def test_an_unsupported_verb_on_a_custom_resource_is_not_supported(
    method: str, path: str, verb: str
) -> None:
    async with serving() as api:
        refused = await api.call(method, path)

        assert refused.code == 405
        assert refused.message == f'{verb} is not supported on resources of kind "widgets.example.com"'
        assert refused.body["details"] == {"group": "example.com", "kind": "widgets"}


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a_collection_cannot_be_updated_or_patched(method: str) -> None:
    async with serving() as api:
        headers = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else None

        refused = await api.call(method, WIDGETS, {}, headers=headers)

        assert (refused.code, refused.message) == (400, "name must be provided")


async def test_a_custom_object_can_be_created_at_the_path_of_an_object() -> None:
    async with serving() as api:
        made = await api.create(f"{WIDGETS}/other", widget("a"))

        assert made.code == 201
        assert (await api.get(f"{WIDGETS}/a")).code == 200


async def test_custom_resources_support_head_and_core_kinds_do_not() -> None:
    async with serving() as api:
        heads = []
        for path in (WIDGETS, CONFIG_MAPS):
            async with api.session.head(path) as response:
                heads.append((response.status, await response.read()))

        assert heads == [(200, b""), (405, b"")]


@pytest.mark.parametrize("path", ["/apis", f"/apis/{GROUP}", f"/apis/{GROUP}/v1", "/healthz"])
async def test_discovery_of_custom_groups_answers_every_method(path: str) -> None:
    async with serving() as api:
        read, posted = await api.get(path), await api.call("POST", path, {})

        assert (posted.code, posted.body) == (200, read.body)


@pytest.mark.parametrize(
    ("path", "names"),
    [
        (f"/apis/{GROUP}/v1/watch/namespaces/default/widgets", ["a", "b"]),
        (f"/apis/{GROUP}/v1/watch/widgets", ["a", "b"]),
        (f"/apis/{GROUP}/v1/watch/namespaces/default/widgets/b", ["b"]),
    ],
)
async def test_a_watch_is_served_at_its_deprecated_path(path: str, names: list[str]) -> None:
    async with serving() as api:
        for name in "ab":
            await api.create(WIDGETS, widget(name))

        async with api.session.get(path) as response:
            sent = await Stream(response).names(len(names))

        assert sent == [("ADDED", name) for name in names]


async def test_health_is_plain_text_with_the_headers_of_every_response() -> None:
    async with serving() as api:
        healthy = await api.get("/readyz")

        assert healthy.body == "ok"
        assert healthy.headers["Cache-Control"] == "no-cache, private"
        assert healthy.headers["X-Content-Type-Options"] == "nosniff"
        assert "Audit-Id" in healthy.headers


async def test_aggregated_discovery_can_be_cached_per_accept_header() -> None:
    async with serving() as api:
        accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

        async with api.session.get("/apis", headers={"Accept": accept}) as response:
            headers = response.headers

        assert (headers["Cache-Control"], headers["Vary"]) == ("public", "Accept")


async def test_an_error_is_yaml_if_the_client_accepts_yaml() -> None:
    async with serving() as api:
        missing = await api.call("GET", f"{WIDGETS}/a", headers={"Accept": "application/yaml"})

        assert missing.code == 404
        assert missing.headers["Content-Type"] == "application/yaml"
        assert "reason: NotFound" in missing.body


async def test_a_watch_cannot_be_yaml() -> None:
    async with (
        serving() as api,
        api.session.get(
            ALL_WIDGETS, params={"watch": "true"}, headers={"Accept": "application/yaml"}
        ) as response,
    ):
        assert response.status == 406
        assert "application/json;stream=watch" in await response.text()
