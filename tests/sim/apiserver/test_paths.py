"""Which paths and methods there are, and what is said of those that are none."""

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
        f"{LEASES}/a/nonsense",
        f"{REVIEWS}/a",
    ],
)
async def test_below_a_group_that_is_built_in_a_status_says_that_there_is_nothing(path: str) -> None:
    async with serving() as api:
        missing = await api.get(path)

        assert (missing.code, missing.message) == (404, NO_PATH)
        assert missing.body["details"] == {}


@pytest.mark.parametrize("more", ["scale", "nonsense", "nonsense/deeper"])
async def test_a_subresource_that_a_custom_object_does_not_have_is_told_as_the_object(more: str) -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a"))

        missing = await api.get(f"{WIDGETS}/a/{more}")

        assert (missing.code, missing.message) == (404, 'widgets.example.com "a" not found')


@pytest.mark.parametrize(
    "path", ["/nowhere", "/apis/no.such.group", f"/apis/{GROUP}/v9", f"/apis/{GROUP}/v1/widgets/a"]
)
async def test_elsewhere_nothing_is_plain_text(path: str) -> None:
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
async def test_a_method_that_a_path_of_a_core_kind_does_not_have_is_not_allowed(
    method: str, path: str
) -> None:
    async with serving() as api:
        refused = await api.call(method, path, {})

        assert (refused.code, refused.message) == (405, NO_METHOD)


@pytest.mark.parametrize(
    ("method", "path", "verb"), [("POST", f"{WIDGETS}/a/status", "create"), ("OPTIONS", WIDGETS, "")]
)
async def test_a_verb_that_custom_objects_do_not_have_is_not_supported(
    method: str, path: str, verb: str
) -> None:
    async with serving() as api:
        refused = await api.call(method, path)

        assert refused.code == 405
        assert refused.message == f'{verb} is not supported on resources of kind "widgets.example.com"'
        assert refused.body["details"] == {"group": "example.com", "kind": "widgets"}


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a_collection_cannot_be_written_over(method: str) -> None:
    async with serving() as api:
        headers = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else None

        refused = await api.call(method, WIDGETS, {}, headers=headers)

        assert (refused.code, refused.message) == (400, "name must be provided")


async def test_a_custom_object_may_be_created_at_the_path_of_any() -> None:
    async with serving() as api:
        made = await api.create(f"{WIDGETS}/other", widget("a"))

        assert made.code == 201
        assert (await api.get(f"{WIDGETS}/a")).code == 200


async def test_custom_objects_have_heads_and_core_objects_have_none() -> None:
    async with serving() as api:
        heads = []
        for path in (WIDGETS, CONFIG_MAPS):
            async with api.session.head(path) as response:
                heads.append((response.status, await response.read()))

        assert heads == [(200, b""), (405, b"")]


@pytest.mark.parametrize("path", ["/apis", f"/apis/{GROUP}", f"/apis/{GROUP}/v1", "/healthz"])
async def test_discovery_of_definitions_answers_every_method(path: str) -> None:
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
async def test_a_watch_is_served_at_its_old_path(path: str, names: list[str]) -> None:
    async with serving() as api:
        for name in "ab":
            await api.create(WIDGETS, widget(name))

        async with api.session.get(path) as response:
            told = await Stream(response).names(len(names))

        assert told == [("ADDED", name) for name in names]


async def test_health_is_plain_text_with_the_headers_of_every_answer() -> None:
    async with serving() as api:
        healthy = await api.get("/readyz")

        assert healthy.body == "ok"
        assert healthy.headers["Cache-Control"] == "no-cache, private"
        assert healthy.headers["X-Content-Type-Options"] == "nosniff"
        assert "Audit-Id" in healthy.headers


async def test_aggregated_discovery_may_be_kept_by_who_asks_again_in_the_same_way() -> None:
    async with serving() as api:
        accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

        async with api.session.get("/apis", headers={"Accept": accept}) as response:
            headers = response.headers

        assert (headers["Cache-Control"], headers["Vary"]) == ("public", "Accept")


async def test_a_failure_is_told_in_yaml_to_who_wants_yaml() -> None:
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
