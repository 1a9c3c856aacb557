"""Tokens, permissions, and the faults that a test can switch on."""

from __future__ import annotations

from typing import Any

import aiohttp
import anyio
import pytest

from tests.sim.apiserver.api import ALL_WIDGETS, GROUP, NAMESPACE, WIDGETS, serving, widget

TOKENS = {"t-alice": "alice", "t-bob": "bob"}
ALICE = {"Authorization": "Bearer t-alice"}


async def test_an_unknown_token_is_unauthorized() -> None:
    async with serving(tokens=TOKENS) as api:
        refused = await api.call("GET", "/healthz", headers={"Authorization": "Bearer wrong"})

        assert refused.code == 401
        assert refused.body == {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": "Unauthorized",
            "reason": "Unauthorized",
            "code": 401,
        }
        assert (await api.call("GET", WIDGETS, headers=ALICE)).code == 200


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic t-alice"}], ids=["nothing", "no bearer"])
async def test_a_request_without_a_token_is_anonymous_and_reads_only_health_and_version(
    headers: dict[str, str],
) -> None:
    async with serving(tokens=TOKENS) as api:
        refused = await api.call("GET", f"/api/v1/namespaces/{NAMESPACE}", headers=headers)
        without_discovery = await api.call("GET", "/apis", headers=headers)

        assert refused.code == 403
        assert refused.message == (
            'namespaces "default" is forbidden: User "system:anonymous" cannot get resource "namespaces" in API group '
            '"" in the namespace "default"'
        )
        assert refused.headers["X-Content-Type-Options"] == "nosniff"
        assert without_discovery.message == 'forbidden: User "system:anonymous" cannot get path "/apis"'
        for path in ("/healthz", "/livez", "/readyz", "/version"):
            assert (await api.call("GET", path, headers=headers)).code == 200


async def test_a_running_watch_outlives_its_token() -> None:
    async with serving(tokens=TOKENS, headers=ALICE) as api, api.watch(WIDGETS) as stream:
        api.server.access.revoke("t-alice")
        refused = await api.get(WIDGETS)
        bob = {"Authorization": "Bearer t-bob"}
        await api.call("POST", WIDGETS, widget("a"), headers=bob)

        assert refused.code == 401
        assert await stream.names(1) == [("ADDED", "a")]
        api.server.access.add("t-alice", "alice")
        assert (await api.get(WIDGETS)).code == 200


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        (
            "GET",
            WIDGETS,
            (
                'widgets.example.com is forbidden: User "alice" cannot list resource "widgets" in API '
                'group "example.com" '
                'in the namespace "default"'
            ),
        ),
        (
            "GET",
            ALL_WIDGETS,
            (
                'widgets.example.com is forbidden: User "alice" cannot list resource "widgets" in API '
                'group "example.com" '
                "at the cluster scope"
            ),
        ),
        (
            "GET",
            f"{WIDGETS}/a",
            (
                'widgets.example.com "a" is forbidden: User "alice" cannot get resource "widgets" in API group '
                '"example.com" in the namespace "default"'
            ),
        ),
        (
            "GET",
            f"{WIDGETS}/a/status",
            (
                'widgets.example.com "a" is forbidden: User "alice" cannot get resource "widgets/status" in API group '
                '"example.com" in the namespace "default"'
            ),
        ),
        ("GET", "/version", 'forbidden: User "alice" cannot get path "/version"'),
    ],
)
async def test_a_denied_request_has_the_message_of_kubernetes(method: str, path: str, message: str) -> None:
    async with serving(tokens=TOKENS, headers=ALICE) as api:
        api.server.faults.deny(user="alice")

        refused = await api.call(method, path)

        assert (refused.code, refused.body["reason"], refused.message) == (403, "Forbidden", message)


async def test_only_denied_requests_are_forbidden_until_they_are_allowed() -> None:
    async with serving(tokens=TOKENS, headers=ALICE) as api:
        api.server.faults.deny(user="alice", verb="create", resource="widgets")

        created = await api.create(WIDGETS, widget("a"))
        listed = await api.get(WIDGETS)
        bobs = await api.call("POST", WIDGETS, widget("b"), headers={"Authorization": "Bearer t-bob"})
        api.server.faults.allow(user="alice", verb="create", resource="widgets")
        allowed = await api.create(WIDGETS, widget("a"))

        assert [reply.code for reply in (created, listed, bobs, allowed)] == [403, 200, 201, 201]


async def test_planned_answers_apply_to_the_given_number_of_matching_requests() -> None:
    async with serving() as api:
        api.server.faults.answer(503, times=2, verb="list", resource="widgets", retry_after=7)

        codes = [(await api.get(WIDGETS)).code, (await api.create(WIDGETS, widget("a"))).code]
        second = await api.get(WIDGETS)
        codes.append((await api.get(WIDGETS)).code)

        assert codes == [503, 201, 200]
        assert (second.code, second.headers["Retry-After"]) == (503, "7")
        assert second.body["reason"] == "ServiceUnavailable"
        assert second.body["details"] == {"retryAfterSeconds": 7}


async def test_an_answer_can_be_the_html_of_a_load_balancer() -> None:
    async with serving() as api:
        api.server.faults.answer(503, body="<html>no backend</html>")

        page = await api.get(WIDGETS)

        assert (page.code, page.body) == (503, "<html>no backend</html>")
        assert page.headers["Content-Type"].startswith("text/html")


async def test_lag_delays_events_and_keeps_their_order() -> None:
    async with serving() as api, api.watch(WIDGETS) as stream:
        api.server.faults.watch_lag = 60
        for name in ("a", "b", "c"):
            await api.create(WIDGETS, widget(name))
        with anyio.move_on_after(0.05) as early:
            await stream.next()

        api.server.faults.watch_lag = 0

        assert early.cancelled_caught
        assert await stream.names(3) == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c")]


async def test_a_negative_watch_lag_is_rejected() -> None:
    async with serving() as api:
        with pytest.raises(ValueError, match="negative"):
            api.server.faults.watch_lag = -1


async def test_dropped_watches_end_cleanly_or_with_a_reset() -> None:
    async with serving() as api:
        async with api.watch(WIDGETS) as clean:
            assert api.server.faults.drop_watches() == 1
            assert await clean.rest() == []
        async with api.watch(WIDGETS) as cut:
            api.server.faults.drop_watches(reset=True)
            with pytest.raises(aiohttp.ClientError):
                await cut.next()
        assert (await api.get(WIDGETS)).code == 200
        assert api.server.faults.drop_watches() == 0


async def test_a_stalled_request_is_answered_when_the_stall_ends() -> None:
    async with serving() as api:
        codes: list[int] = []

        async def read() -> None:
            codes.append((await api.get(WIDGETS)).code)

        async with anyio.create_task_group() as group:
            with api.server.faults.stalled(verb="list"):
                group.start_soon(read)
                other = await api.create(WIDGETS, widget("a"))
                stalled = list(codes)

        assert (other.code, stalled, codes) == (201, [], [200])


async def test_running_watches_send_nothing_while_stalled() -> None:
    async with serving() as api, api.watch(WIDGETS) as stream:
        with api.server.faults.stalled(verb="watch"):
            await api.create(WIDGETS, widget("a"))
            with anyio.move_on_after(0.05) as silent:
                await stream.next()
            await api.create(WIDGETS, widget("b"))

        assert silent.cancelled_caught
        assert await stream.names(2) == [("ADDED", "a"), ("ADDED", "b")]


async def test_a_stalled_server_can_still_be_stopped() -> None:
    codes: list[int] = []
    async with aiohttp.ClientSession() as session, anyio.create_task_group() as group, serving() as api:
        url = f"{api.server.url}{WIDGETS}"

        async def read() -> None:
            async with session.get(url) as response:
                codes.append(response.status)

        with api.server.faults.stalled(verb="list"), anyio.fail_after(60):
            group.start_soon(read)
            await api.create(WIDGETS, widget("a"))
            api.server._http.stop()
            while not codes:
                await anyio.lowlevel.checkpoint()

    assert codes == [200]


REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def may(verb: str, resource: str, **more: str) -> dict[str, Any]:
    return {
        "spec": {"resourceAttributes": {"group": GROUP, "verb": verb, "resource": resource, **more}},
    }


async def test_an_access_review_reports_the_current_permissions_of_the_user() -> None:
    async with serving() as api:
        before = await api.create(REVIEWS, may("delete", "widgets", namespace="default"))
        api.server.faults.deny(verb="delete", resource="widgets", namespace="default")
        after = await api.create(REVIEWS, may("delete", "widgets", namespace="default"))
        elsewhere = await api.create(REVIEWS, may("delete", "widgets", namespace="other"))
        api.server.faults.deny(resource="widgets/status")
        status = await api.create(REVIEWS, may("patch", "widgets", subresource="status"))

        assert [reply.code for reply in (before, after, elsewhere, status)] == [201] * 4
        assert [reply.body["status"]["allowed"] for reply in (before, after, elsewhere, status)] == [
            True,
            False,
            True,
            False,
        ]
        assert after.body["kind"] == "SelfSubjectAccessReview"
        assert after.body["spec"]["resourceAttributes"]["verb"] == "delete"


async def test_a_review_of_no_permission_or_of_two_is_rejected_and_reviews_are_not_stored() -> None:
    async with serving() as api:
        nothing = await api.create(REVIEWS, {"spec": {}})
        both = may("get", "widgets")
        both["spec"]["nonResourceAttributes"] = {"path": "/version", "verb": "get"}
        two = await api.create(REVIEWS, both)
        listed = await api.get(REVIEWS)
        discovered = await api.get("/apis/authorization.k8s.io/v1")

        assert [reply.code for reply in (nothing, two, listed)] == [422, 422, 405]
        assert "exactly one of" in nothing.message
        assert discovered.body["resources"][0]["verbs"] == ["create"]
