"""The comparison masks only values that differ between any two servers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.comparison import Difference, compare
from tests.conformance.differences import PAGE, KnownDifference, known_differences, missing, new, shown
from tests.conformance.exchanges import get, of, scenario
from tests.conformance.masks import masked
from tests.conformance.runner import compared, embedded
from tests.conformance.scenarios import SCENARIOS
from tests.conformance.servers import Answer

MINIMUM = 250
"""The number of exchanges that the comparison sends at least."""

UID, OTHER_UID = "0b5fbf35-0c1e-4a5f-8f7b-000000000001", "0b5fbf35-0c1e-4a5f-8f7b-000000000002"


def answer(body: Any, status: int = 200) -> Answer:
    return Answer(status, {}, body)


def obj(uid: str, version: str) -> dict[str, Any]:
    return {"metadata": {"uid": uid, "resourceVersion": version}}


def test_the_scenarios_have_enough_exchanges() -> None:
    assert sum(len(each.all()) for each in SCENARIOS) >= MINIMUM


def test_names_of_scenarios_are_unique() -> None:
    names = [each.name for each in SCENARIOS]

    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_the_page_lists_the_known_differences() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert page == shown(page, known_differences())


def test_different_uids_and_versions_are_not_differences() -> None:
    one = {"made": answer(obj(UID, "5")), "changed": answer(obj(UID, "7"))}
    other = {"made": answer(obj(OTHER_UID, "105")), "changed": answer(obj(OTHER_UID, "109"))}

    assert masked(one, "ns-1") == masked(other, "ns-1")


@pytest.mark.parametrize(
    "changed",
    [obj(OTHER_UID, "7"), obj(UID, "5"), obj(UID, "3")],
    ids=["another object", "the version before", "an older version"],
)
def test_other_relations_between_uids_and_versions_are_differences(changed: dict[str, Any]) -> None:
    one = {"made": answer(obj(UID, "5")), "changed": answer(obj(UID, "7"))}
    other = {"made": answer(obj(UID, "5")), "changed": answer(changed)}

    assert masked(one, "ns-1") != masked(other, "ns-1")


def test_only_the_order_of_causes_is_masked() -> None:
    def invalid(*fields: str) -> dict[str, Answer]:
        causes = [{"reason": "FieldValueInvalid", "message": "is wrong", "field": name} for name in fields]
        texts = ", ".join(f"{name}: is wrong" for name in fields)
        body = {"kind": "Status", "message": f"X is invalid: [{texts}]", "details": {"causes": causes}}
        return {"made": answer(body, 422)}

    assert masked(invalid("a", "b"), "ns-1") == masked(invalid("b", "a"), "ns-1")
    assert masked(invalid("a", "b"), "ns-1") != masked(invalid("a", "c"), "ns-1")


def test_only_the_order_of_lines_in_a_list_of_errors_is_masked() -> None:
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
def test_a_difference_is_reported_with_its_path(embedded_body: Any, real_body: Any, path: str) -> None:
    found = compare("s/e", answer(embedded_body).document(), answer(real_body).document())

    assert found[0].path == path


def test_answers_with_different_status_have_one_difference() -> None:
    found = compare(
        "s/e",
        answer({"message": "no"}, 409).document(),
        answer({"message": "never", "a": 1}, 422).document(),
    )

    assert found == [Difference("s/e", "status", '409 "no"', '422 "never"')]


def test_a_known_difference_is_neither_new_nor_missing() -> None:
    found = [Difference("list-pages/first", "body.items[0].a", "1", "2")]
    known = [KnownDifference("list-*/first", "body.items[0]", "says 1", "because")]

    assert new(found, known) == []
    assert missing(found, known) == []


def test_an_unknown_difference_is_new_and_one_that_is_not_found_is_missing() -> None:
    found = [Difference("list-pages/second", "body.items[1].a", "1", "2")]
    known = [KnownDifference("list-*/first", "body.items[0]", "says 1", "because")]

    assert new(found, known) == found
    assert missing(found, known) == known


async def test_servers_of_different_releases_report_different_versions() -> None:
    only = scenario("release", get("version", "/version"))

    async with embedded([], release="v1.37.2") as ours, embedded([], release="v1.34.0") as theirs:
        theirs.name = "real"
        found = await compared(ours, theirs, [only], prefix="x")

    assert found.exchanges == 1
    assert "body.minor" in {difference.path for difference in found.differences}


async def test_an_exchange_that_cannot_be_sent_is_a_difference() -> None:
    only = scenario(
        "nowhere", get("version", "/version"), get("more", "/version", x=of("version", "no.such"))
    )

    async with embedded([], release="v1.37.2") as ours, embedded([], release="v1.37.2") as theirs:
        theirs.name = "real"
        found = await compared(ours, theirs, [only], prefix="x")

    assert [(each.exchange, each.path) for each in found.differences] == [("nowhere/more", "body")]
