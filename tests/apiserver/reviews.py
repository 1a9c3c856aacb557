"""A webhook for bearer token authentication, whose tokens a test can revoke."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self

import anyio
from aiohttp import web

__all__ = ["TokenReviews"]

JSON = dict[str, Any]  # Any: it is JSON

_HOST: Final = "127.0.0.1"


class TokenReviews(anyio.AsyncContextManagerMixin):
    """async with TokenReviews() as reviews: a webhook that answers TokenReviews.

    A server accepts a token for up to ten seconds after a positive review; no flag disables this cache.

    Attributes:
        reviewed: the tokens that a server sent, in order.
    """

    def __init__(self) -> None:
        self._users: dict[str, str] = {}
        self._url = ""
        self.reviewed: list[str] = []

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        application = web.Application()
        application.router.add_post("/", self._review)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, _HOST, 0).start()
            self._url = f"http://{_HOST}:{runner.addresses[0][1]}/"
            yield self
        finally:
            with anyio.CancelScope(shield=True):
                await runner.cleanup()

    def flags(self, folder: Path) -> list[str]:
        """The flags with which kube-apiserver uses this webhook."""
        file, name = folder / "token-reviews.json", "reviews"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": self._url}}],
            "users": [{"name": name, "user": {}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }
        file.write_text(json.dumps(content))
        return [
            f"--authentication-token-webhook-config-file={file}",
            "--authentication-token-webhook-version=v1",
            "--authentication-token-webhook-cache-ttl=0s",
        ]

    def issue(self, user: str) -> str:
        """Create a token of a user, valid until it is revoked."""
        token = secrets.token_hex(16)
        self._users[token] = user
        return token

    def revoke(self, *tokens: str) -> None:
        """Reject tokens from now on."""
        for token in tokens:
            self._users.pop(token, None)

    def restore(self, token: str, user: str) -> None:
        """Accept a revoked token again."""
        self._users[token] = user

    async def _review(self, request: web.Request) -> web.Response:
        review: JSON = await request.json()
        token = review["spec"]["token"]
        self.reviewed.append(token)
        user = self._users.get(token)
        status: JSON = {"authenticated": user is not None}
        if user is not None:
            status["user"] = {"username": user}
        return web.json_response(
            {"apiVersion": review["apiVersion"], "kind": "TokenReview", "status": status}
        )
