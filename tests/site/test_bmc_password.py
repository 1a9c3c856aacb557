"""The password of the BMCs: in the Secret whenever it changes, and nowhere else."""

from __future__ import annotations

import copy
import json
import pickle
import traceback
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import anyio
import pytest
from structlog.testing import capture_logs

import dpf_async
from dpf_async import DPFClient, PasswordHealth
from dpf_async._site.bmc_password import ANYWAY, EVERY, Password
from dpf_async.errors import Forbidden, Invalid, NotFound, PasswordUnavailable, UsageError
from dpf_async.models import Secret, known
from dpf_async.sim.simulator import minimal_site
from tests.support.cluster import cluster
from tests.support.scripted import Exchange, Request, Script, Scripted, answering, page, refusing
from tests.support.virtual_time import virtual_time

SOURCE = Path(dpf_async.__file__).parent
PASSWORD = "Tr0ub4dor&3-of-the-BMC"
ENCODED = b64encode(PASSWORD.encode()).decode()


class Vault:
    """Where the password is kept."""

    def __init__(self, *passwords: object) -> None:
        self.passwords = list(passwords)
        self.asked = 0

    async def password(self) -> str:
        """The next one; the last one for ever. What is an exception is raised."""
        self.asked += 1
        told = self.passwords.pop(0) if len(self.passwords) > 1 else self.passwords[0]
        if isinstance(told, Exception):
            raise told
        return told  # type: ignore[return-value]  # wrong types are what some tests are about


def stored(request: Request) -> bytes | None:
    """The password in a request that writes the Secret."""
    return Secret.model_validate_json(request.body).value(known.BMC_PASSWORD_KEY)


async def taking(exchange: Exchange) -> None:
    """A server that stores what it is sent."""
    await exchange.answer(200, json.loads(exchange.request.body))


async def until(fact: Callable[[], bool]) -> None:
    """Wait until a fact holds; the clock jumps."""
    while not fact():  # noqa: ASYNC110  a second is nothing on this clock
        await anyio.sleep(1)


# Kept up to date.


async def test_the_secret_has_been_written_when_the_block_is_entered() -> None:
    async with cluster() as site, site.dpf.bmc_password(Vault("first").password) as kept:
        secret = await site.dpf.resource(Secret).get(known.BMC_PASSWORD_SECRET)

        assert secret.value(known.BMC_PASSWORD_KEY) == b"first"
        assert kept.health == PasswordHealth("current", "", 0, 1)


@virtual_time
async def test_another_password_replaces_it_at_the_next_interval_without_a_restart() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = taking
        began = anyio.current_time()
        with capture_logs() as logs:
            async with dpf.bmc_password(Vault("first", "second").password) as kept:
                await until(lambda: kept.health.writes == 2)

        assert [stored(request) for request in server.requests] == [b"first", b"second"]
        assert EVERY * 0.9 <= anyio.current_time() - began <= EVERY * 1.1 + 1
        assert [entry["event"] for entry in logs] == ["bmc_password_rotated"]


@virtual_time
async def test_the_same_password_is_not_sent_again_but_for_a_secret_that_somebody_took_away() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = taking
        vault = Vault("same")
        began = anyio.current_time()
        async with dpf.bmc_password(vault.password):
            await until(lambda: vault.asked == 8)
            assert len(server.requests) == 1

            await until(lambda: len(server.requests) == 2)

        assert ANYWAY <= anyio.current_time() - began <= ANYWAY + 2 * EVERY
        assert {request.method for request in server.requests} == {"PATCH"}, "it is never read"


async def test_whoever_has_rotated_it_can_have_it_written_at_once() -> None:
    async with cluster() as site:
        async with site.dpf.bmc_password(Vault("first", "second").password, every=3600) as kept:
            await kept.refresh()

        secret = await site.dpf.resource(Secret).get(known.BMC_PASSWORD_SECRET)
        assert secret.value(known.BMC_PASSWORD_KEY) == b"second"


# When it fails.


@virtual_time
async def test_a_provider_that_raises_is_asked_again_and_the_secret_stays_as_it_is() -> None:
    broken = TimeoutError(f"no answer; was asking for {PASSWORD}")
    async with Scripted() as server, server.client() as dpf:
        server.on_other = taking
        vault, mended = Vault("first", *[broken] * 5, "second"), anyio.Event()

        async def provider() -> str:
            if vault.asked == 6:
                await mended.wait()
            return await vault.password()

        with capture_logs() as logs:
            async with dpf.bmc_password(provider) as kept:
                await until(lambda: kept.health.failures == 5)
                failing = kept.health
                mended.set()
                await until(lambda: kept.health.writes == 2)

        assert failing.state == "failing"
        assert failing.reason == (
            "the provider of the BMC password raised TimeoutError; the Secret stays as it is"
        )
        assert kept.health == PasswordHealth("current", "", 0, 2)
        assert [stored(request) for request in server.requests] == [b"first", b"second"]
        told = [entry["event"] for entry in logs]
        assert told == [
            *["bmc_password_not_refreshed"] * 5,
            "bmc_password_rotated",
            "bmc_password_current_again",
        ]
        assert PASSWORD not in repr(logs)


@virtual_time
async def test_a_worker_that_starts_before_the_vault_waits_for_it() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = taking

        async with dpf.bmc_password(Vault(OSError(), OSError(), "first").password) as kept:
            assert kept.health.writes == 1

        assert len(server.requests) == 1


@virtual_time
async def test_a_server_that_cannot_for_now_is_asked_again_and_not_before_it_said() -> None:
    async with Scripted() as server, server.client() as dpf:
        began = anyio.current_time()
        server.on_other = refusing(503, "ServiceUnavailable", {"Retry-After": "100"})

        async def recover() -> None:
            await until(lambda: len(server.requests) == 2)
            server.on_other = taking

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(recover)
            async with dpf.bmc_password(Vault("first").password) as kept:
                assert kept.health.state == "current"

        assert anyio.current_time() - began >= 200


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refusing(403, "Forbidden"), Forbidden),
        (refusing(422, "Invalid"), Invalid),
        (refusing(404, "NotFound", details={"kind": "namespaces"}), NotFound),
    ],
    ids=["forbidden", "invalid", "no namespace"],
)
@virtual_time
async def test_a_write_that_is_refused_ends_the_block(answer: Script, error: type[Exception]) -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = taking

        async def keep() -> None:
            async with dpf.bmc_password(Vault("first", PASSWORD).password):
                server.on_other = answer
                await anyio.sleep_forever()

        with pytest.raises(error, match=known.BMC_PASSWORD_SECRET) as caught:
            await keep()
        for text in everything_told(caught.value):
            assert PASSWORD not in text
            assert ENCODED not in text


@pytest.mark.parametrize("wrong", ["", "  ", None, 7, b"bytes", "x" * 1025, "\ud800"])
async def test_what_is_no_password_is_refused_before_anything_is_sent(wrong: object) -> None:
    async with Scripted() as server, server.client() as dpf:
        with pytest.raises(UsageError, match=r"the BMC password .*nothing was sent"):
            async with dpf.bmc_password(Vault(wrong).password):
                pytest.fail("it was entered")
        if wrong is not None:
            with pytest.raises(UsageError, match=r"the BMC password .*nothing was sent"):
                await dpf.create_initialization_objects(minimal_site(), bmc_password=wrong)  # type: ignore[arg-type]

        assert server.requests == []


@pytest.mark.parametrize("every", [0, -1, float("nan")])
def test_an_interval_that_is_none_is_refused(every: float) -> None:
    with pytest.raises(UsageError, match="above 0"):
        DPFClient(kubeconfig={}).bmc_password(Vault("x").password, every=every)


async def test_a_refresh_that_fails_says_so_to_whoever_asked() -> None:
    async with cluster() as site:
        vault = Vault("first", ValueError(PASSWORD), "third")
        async with site.dpf.bmc_password(vault.password, every=3600) as kept:
            with pytest.raises(PasswordUnavailable, match="raised ValueError"):
                await kept.refresh()

            await kept.refresh()

            assert kept.health == PasswordHealth("current", "", 0, 2)


async def test_leaving_the_block_ends_it_even_while_the_provider_hangs() -> None:
    asked = anyio.Event()

    async def hang_later() -> str:
        if not first:
            asked.set()
            await anyio.sleep_forever()
        return first.pop()

    first = ["first"]
    async with cluster() as site:
        with anyio.fail_after(10):
            async with site.dpf.bmc_password(hang_later, every=0.01):
                await asked.wait()


# Nowhere else.

Way = Callable[[DPFClient, Scripted], Awaitable[object]]


async def defining(dpf: DPFClient, _server: Scripted) -> None:
    await dpf.create_initialization_objects(minimal_site(), bmc_password=PASSWORD)


async def refreshing(dpf: DPFClient, server: Scripted) -> None:
    broken, server.on_other = server.on_other, taking
    async with dpf.bmc_password(Vault(PASSWORD + "!", PASSWORD).password) as kept:
        server.on_other = broken
        await kept.refresh()


async def telling(dpf: DPFClient, _server: Scripted) -> None:
    async with dpf.bmc_password(Vault("first", ValueError(PASSWORD)).password) as kept:
        await kept.refresh()


ECHOED = f'admission webhook "x" denied the request: password {PASSWORD} ({ENCODED}) is in a list'
ANSWERS: dict[str, Script] = {
    "forbidden": refusing(403, "Forbidden", message=ECHOED),
    "invalid": refusing(
        422,
        "Invalid",
        message=ECHOED,
        details={"causes": [{"field": "data", "message": ECHOED, "reason": "FieldValueInvalid"}]},
    ),
    "not JSON": page(200, f"<html>{PASSWORD}</html>".encode()),
    "a page": page(404, f"<html>{PASSWORD}</html>".encode()),
    "unreadable": answering(200, {"kind": "Secret", "metadata": {"name": 7}, "data": {"password": ENCODED}}),
    "undecodable": answering(200, {"kind": "Secret", "metadata": {"name": "x"}, "data": [ENCODED]}),
    "broken JSON": answering(200, f'{{"data": {{"password": "{ENCODED}"'.encode()),
}


async def hang_up(exchange: Exchange) -> None:
    exchange.reset()


def everything_told(error: BaseException) -> Iterator[str]:
    """All that a log could show of an exception: chained ones, notes, attributes, and locals of our own frames."""
    seen: list[BaseException | None] = [error]
    for one in seen:
        if one is None:
            continue
        yield repr(one)
        yield str(one)
        yield repr(vars(one))
        yield from getattr(one, "__notes__", ())
        for follow in (one.__cause__, one.__context__):
            if follow is not None and follow not in seen:
                seen.append(follow)
        for frame in traceback.TracebackException.from_exception(one, capture_locals=True).stack:
            if Path(frame.filename).is_relative_to(SOURCE):
                yield f"{frame.name} {frame.line} {frame.locals}"


@pytest.mark.parametrize("way", [defining, refreshing])
@pytest.mark.parametrize("answer", [*ANSWERS, "no connection"])
async def test_no_failure_of_a_write_tells_the_password(way: Way, answer: str) -> None:
    async with Scripted() as server, server.client() as dpf:
        usual = ANSWERS.get(answer, hang_up)

        async def answer_the_secret(exchange: Exchange) -> None:
            # Plans of a site go well; its password does not.
            await (usual if exchange.request.plural == Secret.PLURAL else taking)(exchange)

        server.on_other = answer_the_secret
        with capture_logs() as logs, pytest.raises(dpf_async.errors.DPFError) as caught:
            await way(dpf, server)

        for text in (repr(logs), *everything_told(caught.value)):
            assert PASSWORD not in text
            assert ENCODED not in text


async def test_what_a_provider_says_of_its_failure_is_not_repeated() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = taking
        with capture_logs() as logs, pytest.raises(PasswordUnavailable) as caught:
            await telling(dpf, server)

        for text in (repr(logs), *everything_told(caught.value)):
            assert PASSWORD not in text


def test_a_password_shows_itself_nowhere() -> None:
    password = Password(PASSWORD).usable()

    for text in (
        repr(password),
        str(password),
        f"{password}",
        repr(password.secret()),
        str(password.secret()),
    ):
        assert PASSWORD not in text
        assert ENCODED not in text
    with pytest.raises(UsageError):
        pickle.dumps(password)
    with pytest.raises(UsageError):
        copy.copy(password)


def test_digests_tell_passwords_apart_and_are_of_no_use_to_another_process() -> None:
    one, same, other = (Password(text) for text in (PASSWORD, PASSWORD, PASSWORD + "!"))

    assert one.digest(b"key") == same.digest(b"key") != other.digest(b"key")
    assert one.digest(b"key") != one.digest(b"another process's key")
