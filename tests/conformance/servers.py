"""One server of the comparison: sends exchanges and returns the answers as a client receives them.

Needs only the URL of a server and a token.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import anyio
import yaml

from tests.conformance.exchanges import COMPACT, YAML, Exchange, Ref, Scenario

__all__ = ["Answer", "Server", "connected", "value_at"]

Json = Any  # JSON documents have no narrower type at this edge

AGENT: Final = "conformance/1.0"
_HEADERS: Final = (
    "Allow",
    "Cache-Control",
    "Content-Encoding",
    "Content-Type",
    "Location",
    "Retry-After",
    "Vary",
    "WWW-Authenticate",
    "X-Content-Type-Options",
)
"""The headers that describe an answer; the others describe the connection or the priority level."""
_EVENT_TIMEOUT: Final = 60.0
"""Seconds to wait for the next event of a watch with a given number of events; then the answer ends."""
_UNTIL_TIMEOUT, _UNTIL_INTERVAL = 20.0, 0.05
"""Seconds until a repeated request has to have its status, and between two requests."""
_STEP: Final = re.compile(r"[^.\[\]]+")


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of one exchange; the body is JSON, text, or the events of a watch."""

    status: int
    headers: Mapping[str, Json]
    body: Json

    def document(self) -> dict[str, Json]:
        """The answer as one JSON document."""
        return {"status": self.status, "headers": dict(self.headers), "body": self.body}


@dataclass(slots=True)
class Server:
    """A server and the connection to it; compact() compacts its history, and is None if that is not supported."""

    name: str
    session: aiohttp.ClientSession
    compact: Callable[[], Awaitable[None]] | None = None

    async def run(self, scenario: Scenario, namespace: str) -> dict[str, Answer]:
        """Send the exchanges of a scenario in order; return the answers by label."""
        run = _Run(self, namespace)
        for exchange in scenario.exchanges:
            await run.exchange(exchange)
        return run.answers


@asynccontextmanager
async def connected(
    name: str,
    url: str,
    *,
    token: str = "",
    ssl: Any = True,
    compact: Callable[[], Awaitable[None]] | None = None,
) -> AsyncGenerator[Server]:
    """Connect to a server; ssl as in aiohttp."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connector = aiohttp.TCPConnector(ssl=ssl, limit=0)
    # Content-Encoding is compared, so only the scenario sets Accept-Encoding.
    skipped = ("Accept-Encoding", "User-Agent")
    async with aiohttp.ClientSession(
        url, headers=headers, connector=connector, skip_auto_headers=skipped
    ) as session:
        yield Server(name, session, compact)


@dataclass(slots=True)
class _Run:
    server: Server
    namespace: str
    answers: dict[str, Answer] = field(default_factory=dict)

    async def exchange(self, exchange: Exchange) -> None:
        if exchange.method == COMPACT:
            assert self.server.compact is not None
            await self.server.compact()
            return
        try:
            answer = await self._answer(exchange)
            with anyio.move_on_after(_UNTIL_TIMEOUT):
                while exchange.until and answer.status != exchange.until:
                    await anyio.sleep(_UNTIL_INTERVAL)
                    answer = await self._answer(exchange)
            self.answers[exchange.label] = answer
        except aiohttp.ClientConnectionError as error:
            self.answers[exchange.label] = Answer(0, {}, f"no answer: {type(error).__name__}")
        except LookupError as error:
            # The text contains the server's name, so that it is a difference even if both lack the value.
            self.answers[exchange.label] = Answer(0, {}, f"{self.server.name} was not sent: no {error}")

    async def _answer(self, exchange: Exchange) -> Answer:
        body = self._resolved(exchange.body)
        text = body if isinstance(body, str) else json.dumps(body)
        data = None if body is None else io.BytesIO(text.encode())
        headers = {"User-Agent": AGENT, **{k: self._text(v) for k, v in exchange.headers.items()}}
        if data is not None:
            headers.setdefault("Content-Type", "application/json")
        async with self.server.session.request(
            exchange.method,
            self._text(exchange.path) + self._query(exchange.query),
            data=data,
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=60),
        ) as response:
            if exchange.watch and response.status == 200:
                body = await self._events(exchange, response)
            else:
                for other in exchange.during:
                    await self.exchange(other)
                read = _yaml if response.content_type == YAML else _decoded
                body = read(await response.read())
            if exchange.view is not None and response.status < 300:
                body = exchange.view(body)
            return Answer(response.status, _headers(response), body)

    async def _events(self, exchange: Exchange, response: aiohttp.ClientResponse) -> list[Json]:
        events: list[Json] = []
        sent = False
        while exchange.events is None or len(events) < exchange.events:
            if not sent and len(events) == exchange.before:
                sent = True
                for other in exchange.during:
                    await self.exchange(other)
            line = b""
            with anyio.move_on_after(_EVENT_TIMEOUT):
                line = await response.content.readline()
            if not line:
                break
            event = _decoded(line)
            if exchange.bookmarks or not _is_plain_bookmark(event):
                events.append(event)
        response.close()
        return events

    def _query(self, query: Mapping[str, Any]) -> str:
        pairs = [
            f"{quote(name)}={quote(str(self._resolved(value)), safe='')}"
            for name, given in query.items()
            for value in (given if isinstance(given, list) else [given])
        ]
        return "?" + "&".join(pairs) if pairs else ""

    def _resolved(self, value: Json) -> Json:
        if isinstance(value, Ref):
            found = value_at(self.answers[value.label].body, value.path)
            return str(int(found) + value.plus) if value.plus else found
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            return {self._text(name): self._resolved(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._resolved(item) for item in value]
        return value

    def _text(self, text: str) -> str:
        return text.replace("{ns}", self.namespace)


def _is_plain_bookmark(event: Json) -> bool:
    return (
        isinstance(event, dict)
        and event.get("type") == "BOOKMARK"
        and not event["object"].get("metadata", {}).get("annotations")
        and not event["object"].get("rows")
    )


def value_at(document: Json, path: str) -> Json:
    """The value at a path such as a.b[0].c.

    Raises:
        LookupError: there is no such value.
    """
    for step in _STEP.findall(path):
        match document:
            case list():
                document = document[int(step)]
            case dict():
                document = document[step]
            case _:
                raise LookupError(path)
    return document


def _decoded(data: bytes) -> Json:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode(errors="replace")


def _yaml(data: bytes) -> Json:
    """Decode YAML, so that the quoting of strings is not compared."""
    return yaml.safe_load(data)


def _headers(response: aiohttp.ClientResponse) -> dict[str, Json]:
    found: dict[str, Json] = {name: response.headers[name] for name in _HEADERS if name in response.headers}
    if warnings := response.headers.getall("Warning", []):
        found["Warning"] = warnings
    found["Audit-Id"] = "Audit-Id" in response.headers
    return found
