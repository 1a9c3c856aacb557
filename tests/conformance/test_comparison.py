"""The comparison itself: it hides what no two servers share, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.comparison import Difference, compare
from tests.conformance.differences import PAGE, KnownDifference, gone, known_differences, new, shown
from tests.conformance.exchanges import get, of, scenario
from tests.conformance.masks import masked
from tests.conformance.runner import compared, embedded
from tests.conformance.scenarios import SCENARIOS
from tests.conformance.servers import Answer

MINIMUM = 250
"""Exchanges that the comparison promises to play."""

UID, OTHER_UID = "0b5fbf35-0c1e-4a5f-8f7b-000000000001", "0b5fbf35-0c1e-4a5f-8f7b-000000000002"


def answer(body: Any, status: int = 200) -> Answer:
    return Answer(status, {}, body)


def obj(uid: str, version: str) -> dict[str, Any]:
    return {"metadata": {"uid": uid, "resourceVersion": version}}


def test_enough_is_asked() -> None:
    assert sum(len(each.all()) for each in SCENARIOS) >= MINIMUM


def test_a_name_of_a_scenario_is_given_once() -> None:
    names = [each.name for each in SCENARIOS]

    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_the_page_shows_the_known_differences() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert page == shown(page, known_differences())


def test_two_servers_may_choose_other_uids_times_and_versions() -> None:
    one = {"made": answer(obj(UID, "5")), "changed": answer(obj(UID, "7"))}
    other = {"made": answer(obj(OTHER_UID, "105")), "changed": answer(obj(OTHER_UID, "109"))}

    assert masked(one, "ns-1") == masked(other, "ns-1")


@pytest.mark.parametrize(
    "changed",
    [obj(OTHER_UID, "7"), obj(UID, "5"), obj(UID, "3")],
    ids=["another object", "the version before", "an older version"],
)
def test_what_a_uid_or_version_says_is_not_hidden(changed: dict[str, Any]) -> None:
    one = {"made": answer(obj(UID, "5")), "changed": answer(obj(UID, "7"))}
    other = {"made": answer(obj(UID, "5")), "changed": answer(changed)}

    assert masked(one, "ns-1") != masked(other, "ns-1")


def test_causes_may_come_in_any_order_but_not_be_others() -> None:
    def invalid(*fields: str) -> dict[str, Answer]:
        causes = [{"reason": "FieldValueInvalid", "message": "is wrong", "field": name} for name in fields]
        texts = ", ".join(f"{name}: is wrong" for name in fields)
        body = {"kind": "Status", "message": f"X is invalid: [{texts}]", "details": {"causes": causes}}
        return {"made": answer(body, 422)}

    assert masked(invalid("a", "b"), "ns-1") == masked(invalid("b", "a"), "ns-1")
    assert masked(invalid("a", "b"), "ns-1") != masked(invalid("a", "c"), "ns-1")


def test_what_is_found_line_by_line_may_come_in_any_order_but_not_be_something_else() -> None:
    def failed(*lines: str) -> dict[str, Answer]:
        text = "\n".join(f"  {line}" for line in lines)
        return {"made": answer({"kind": "Status", "message": f"failed: errors:\n{text}"}, 500)}

    assert masked(failed("a", "b"), "ns-1") == masked(failed("b", "a"), "ns-1")
    assert masked(failed("a", "b"), "ns-1") != masked(failed("a", "c"), "ns-1")


@pytest.mark.parametrize(
    ("embedded_body", "real_body", "path"),
    [
        ({"a": 1}, {"a": 2}, "body.a"),
        ({"a": 1}, {"a": True}, "body.a"),
        ({"a": 1}, {"a": 1.0}, "body.a"),
        ({}, {"a": None}, "body.a"),
        ({"a": [1]}, {"a": [1, 2]}, "body.a[1]"),
        ({"a": "x"}, {"b": "x"}, "body.a"),
    ],
)
def test_a_difference_is_found_where_it_is(embedded_body: Any, real_body: Any, path: str) -> None:
    found = compare("s/e", answer(embedded_body).document(), answer(real_body).document())

    assert found[0].path == path


def test_of_answers_of_different_status_only_that_is_said() -> None:
    found = compare(
        "s/e",
        answer({"message": "no"}, 409).document(),
        answer({"message": "never", "a": 1}, 422).document(),
    )

    assert found == [Difference("s/e", "status", '409 "no"', '422 "never"')]


def test_a_known_difference_is_neither_new_nor_gone() -> None:
    found = [Difference("list-pages/first", "body.items[0].a", "1", "2")]
    known = [KnownDifference("list-*/first", "body.items[0]", "says 1", "because")]

    assert new(found, known) == []
    assert gone(found, known) == []


def test_what_is_not_known_is_new_and_what_is_not_found_is_gone() -> None:
    found = [Difference("list-pages/second", "body.items[1].a", "1", "2")]
    known = [KnownDifference("list-*/first", "body.items[0]", "says 1", "because")]

    assert new(found, known) == found
    assert gone(found, known) == known


async def test_servers_of_different_releases_differ_in_what_they_say_of_it() -> None:
    played = scenario("release", get("version", "/version"))

    async with embedded([], release="v1.37.2") as ours, embedded([], release="v1.34.0") as theirs:
        theirs.name = "real"
        found = await compared(ours, theirs, [played], prefix="x")

    assert found.exchanges == 1
    assert "body.minor" in {difference.path for difference in found.differences}


async def test_an_exchange_that_cannot_be_asked_is_a_difference() -> None:
    played = scenario(
        "nowhere", get("version", "/version"), get("more", "/version", x=of("version", "no.such"))
    )

    async with embedded([], release="v1.37.2") as ours, embedded([], release="v1.37.2") as theirs:
        theirs.name = "real"
        found = await compared(ours, theirs, [played], prefix="x")

    assert [(each.exchange, each.path) for each in found.differences] == [("nowhere/more", "body")]
