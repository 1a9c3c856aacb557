"""What a test has an administrator do on an API server: namespaces, CRDs, permissions, tokens.

It asks through kubernetes_asyncio, so that nothing here depends on the client that the tests judge.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import anyio
import yaml
from kubernetes_asyncio.config import new_client_from_config_dict

__all__ = ["Admin", "GivenCluster", "Refused"]

JSON = dict[str, Any]  # Any: it is JSON

_CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_RBAC: Final = "/apis/rbac.authorization.k8s.io/v1/namespaces"
_RULES_REVIEW: Final = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
_POLL_SECONDS: Final = 0.05
_EFFECT_SECONDS: Final = 30.0
"""What a server may take to act upon new kinds and permissions; alone on a machine it needs about one second."""


class Refused(Exception):
    """The API server refused what an administrator asked; the text is its answer."""


class Admin:
    """One cluster, and an administrator's words for it."""

    def kubeconfig(self) -> JSON:
        """The administrator's."""
        raise NotImplementedError

    def write_kubeconfig(self, path: str | os.PathLike[str], content: JSON | None = None) -> None:
        """Write a kubeconfig, the administrator's by default, to a file that only its owner can read."""
        file = Path(path)
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(content or self.kubeconfig()), encoding="utf-8")

    async def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> JSON:
        """Send one request.

        Raises:
            Refused: the answer is no success.
        """
        status, answer = await self._answer(method, path, body)
        if status >= 400:
            raise Refused(f"{method} {path}: {status} {answer.decode(errors='replace')}")
        decoded: JSON = json.loads(answer)
        return decoded

    async def version(self) -> str:
        """The release that /version tells, such as v1.37.2."""
        return str((await self.ask("GET", "/version"))["gitVersion"])

    async def create_namespace(self, name: str) -> None:
        """Make it; it must be new."""
        await self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    async def delete_namespace(self, name: str) -> None:
        """Begin to delete it. A server without controllers gets no further than that."""
        await self.ask("DELETE", f"/api/v1/namespaces/{name}")

    async def install_crds(self, manifests: Iterable[JSON]) -> None:
        """Create the definitions that are not there, and wait until all of the kinds are served and published.

        Definitions that are there stay as they are: they may be those of a real DPF.

        Raises:
            Refused: the server refuses a manifest.
            TimeoutError: it does not serve a kind.
        """
        manifests = list(manifests)
        for manifest in manifests:
            status, answer = await self._answer("POST", _CRDS, manifest)
            if status >= 400 and status != 409:
                raise Refused(f"{manifest['metadata']['name']}: {status} {answer.decode()}")
        with anyio.fail_after(_EFFECT_SECONDS):
            # Established comes before discovery does, and discovery is no object that could be watched.
            for manifest in manifests:
                while not await self._serves(manifest["spec"]):  # noqa: ASYNC110
                    await anyio.sleep(_POLL_SECONDS)
            # OpenAPI, by which kubectl explains and validates, comes some time after discovery.
            for document, kinds in _published(manifests).items():
                while not kinds <= await self._kinds_in(document):  # noqa: ASYNC110
                    await anyio.sleep(_POLL_SECONDS)

    async def crds(self) -> list[JSON]:
        """The definitions that the cluster has."""
        items: list[JSON] = (await self.ask("GET", _CRDS))["items"]
        return items

    async def replace_crd(self, manifest: JSON) -> None:
        """Write a changed definition; it holds for all that use the cluster."""
        await self.ask("PUT", f"{_CRDS}/{manifest['metadata']['name']}", manifest)

    async def grant(self, user: str, rules: list[JSON], *, namespace: str) -> None:
        """Let a user do what the rules (of a Role) say in one namespace, in addition to what was granted before.

        It holds when this returns. A service account is the user system:serviceaccount:NAMESPACE:NAME.

        Raises:
            Refused: the rules are none.
            TimeoutError: the server goes on without them.
        """
        role = await self.ask(
            "POST", f"{_RBAC}/{namespace}/roles", {"metadata": {"generateName": "granted-"}, "rules": rules}
        )
        name, group = role["metadata"]["name"], "rbac.authorization.k8s.io"
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        }
        await self.ask("POST", f"{_RBAC}/{namespace}/rolebindings", binding)
        with anyio.fail_after(_EFFECT_SECONDS):
            # The authorizer reads roles from a cache of its own, which does not tell when it has caught up.
            while not await self._has(user, rules, namespace):  # noqa: ASYNC110
                await anyio.sleep(_POLL_SECONDS)

    async def service_account_token(self, name: str, *, namespace: str, seconds: int = 3600) -> str:
        """A bearer token of a new service account; 600 seconds are the least that Kubernetes gives."""
        accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        await self.ask("POST", accounts, {"metadata": {"name": name}})
        wish = {"spec": {"expirationSeconds": seconds}}
        answer = await self.ask("POST", f"{accounts}/{name}/token", wish)
        return str(answer["status"]["token"])

    async def _serves(self, spec: JSON) -> bool:
        names = {version["name"] for version in spec["versions"] if version["served"]}
        for name in names:
            status, answer = await self._answer("GET", f"/apis/{spec['group']}/{name}", None)
            listed = json.loads(answer)["resources"] if status == 200 else []
            if all(each["name"] != spec["names"]["plural"] for each in listed):
                return False
        return True

    async def _kinds_in(self, document: str) -> set[str]:
        status, answer = await self._answer("GET", document, None)
        schemas = json.loads(answer)["components"]["schemas"] if status == 200 else ()
        return {name.rpartition(".")[2] for name in schemas}

    async def _has(self, user: str, rules: list[JSON], namespace: str) -> bool:
        review = {"spec": {"namespace": namespace}}
        status, answer = await self._answer("POST", _RULES_REVIEW, review, user=user)
        if status >= 400:
            raise Refused(f"POST {_RULES_REVIEW} as {user}: {status} {answer.decode()}")
        granted = json.loads(answer)["status"]["resourceRules"]
        return all(rule in granted for rule in rules)

    async def _answer(
        self, method: str, path: str, body: Mapping[str, Any] | None, *, user: str = ""
    ) -> tuple[int, bytes]:
        async with await new_client_from_config_dict(self.kubeconfig()) as client:
            headers = {"Accept": "application/json", "Content-Type": "application/json"}
            if user:
                headers["Impersonate-User"] = user
            answer = await client.call_api(
                path,
                method,
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
            )
            return answer.status, await answer.read()


def _published(manifests: Iterable[JSON]) -> dict[str, set[str]]:
    """The kinds of definitions by the OpenAPI document that has them."""
    found: dict[str, set[str]] = {}
    for spec in (manifest["spec"] for manifest in manifests):
        for version in (version["name"] for version in spec["versions"] if version["served"]):
            path = f"/openapi/v3/apis/{spec['group']}/{version}"
            found.setdefault(path, set()).add(spec["names"]["kind"])
    return found


class GivenCluster(Admin):
    """A cluster that is there already, whoever runs it.

    Args:
        path: of a kubeconfig whose current context may do what the tests need.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._content: JSON = yaml.safe_load(Path(path).read_text(encoding="utf-8"))

    def kubeconfig(self) -> JSON:
        """The content of the file."""
        return self._content
