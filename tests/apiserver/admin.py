"""Administrative requests of tests to an API server: namespaces, CRDs, permissions, tokens.

They are sent with kubernetes_asyncio, so that they do not depend on the client under test.
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

__all__ = ["Admin", "ExternalCluster", "Refused"]

JSON = dict[str, Any]  # Any: it is JSON

_CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_RBAC: Final = "/apis/rbac.authorization.k8s.io/v1/namespaces"
_RULES_REVIEW: Final = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
_POLL_SECONDS: Final = 0.05
_EFFECT_SECONDS: Final = 60.0
"""Timeout for new kinds and permissions to take effect; on an idle machine that takes about one second."""


class Refused(Exception):
    """The API server rejected a request; the message contains its answer."""


class Admin:
    """The administrative requests for one cluster."""

    def kubeconfig(self) -> JSON:
        """The kubeconfig of the administrator."""
        raise NotImplementedError

    def write_kubeconfig(self, path: str | os.PathLike[str], content: JSON | None = None) -> None:
        """Write a kubeconfig, the administrator's by default, to a file that only its owner can read."""
        file = Path(path)
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(content or self.kubeconfig()), encoding="utf-8")

    async def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> JSON:
        """Send one request.

        Raises:
            Refused: the status is 400 or above.
        """
        status, answer = await self._answer(method, path, body)
        if status >= 400:
            raise Refused(f"{method} {path}: {status} {answer.decode(errors='replace')}")
        decoded: JSON = json.loads(answer)
        return decoded

    async def version(self) -> str:
        """The release that /version reports, such as v1.37.2."""
        return str((await self.ask("GET", "/version"))["gitVersion"])

    async def create_namespace(self, name: str) -> None:
        """Create a namespace, which must not exist."""
        await self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    async def delete_namespace(self, name: str) -> None:
        """Delete a namespace; without controllers it stays Terminating."""
        await self.ask("DELETE", f"/api/v1/namespaces/{name}")

    async def install_crds(self, manifests: Iterable[JSON]) -> None:
        """Create missing CRDs, and wait until all of the kinds are served and published in OpenAPI.

        Existing CRDs are not changed: they may be those of a real DPF.

        Raises:
            Refused: the server rejects a manifest.
            TimeoutError: a kind is not served.
        """
        manifests = list(manifests)
        for manifest in manifests:
            status, answer = await self._answer("POST", _CRDS, manifest)
            if status >= 400 and status != 409:
                raise Refused(f"{manifest['metadata']['name']}: {status} {answer.decode()}")
        with anyio.fail_after(_EFFECT_SECONDS):
            # A CRD is Established before its kind is in discovery, which cannot be watched.
            for manifest in manifests:
                while not await self._serves(manifest["spec"]):  # noqa: ASYNC110
                    await anyio.sleep(_POLL_SECONDS)
            # OpenAPI, which kubectl uses for explain and validation, is updated after discovery.
            for document, kinds in _published(manifests).items():
                while not kinds <= await self._kinds_in(document):  # noqa: ASYNC110
                    await anyio.sleep(_POLL_SECONDS)

    async def crds(self) -> list[JSON]:
        """The CRDs of the cluster."""
        items: list[JSON] = (await self.ask("GET", _CRDS))["items"]
        return items

    async def replace_crd(self, manifest: JSON) -> None:
        """Replace a CRD, for all users of the cluster."""
        await self.ask("PUT", f"{_CRDS}/{manifest['metadata']['name']}", manifest)

    async def grant(self, user: str, rules: list[JSON], *, namespace: str) -> None:
        """Grant the rules of a Role to a user in one namespace, in addition to earlier ones, and wait until they apply.

        A service account is the user system:serviceaccount:NAMESPACE:NAME.

        Raises:
            Refused: the rules are invalid.
            TimeoutError: the rules do not take effect.
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
            # The authorizer reads roles from a cache that does not report when it is up to date.
            while not await self._has(user, rules, namespace):  # noqa: ASYNC110
                await anyio.sleep(_POLL_SECONDS)

    async def service_account_token(self, name: str, *, namespace: str, seconds: int = 3600) -> str:
        """Create a service account and return a bearer token of it; Kubernetes' minimum lifetime is 600 s."""
        accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        await self.ask("POST", accounts, {"metadata": {"name": name}})
        request = {"spec": {"expirationSeconds": seconds}}
        answer = await self.ask("POST", f"{accounts}/{name}/token", request)
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
    """The kinds of CRDs, by OpenAPI document."""
    found: dict[str, set[str]] = {}
    for spec in (manifest["spec"] for manifest in manifests):
        for version in (version["name"] for version in spec["versions"] if version["served"]):
            path = f"/openapi/v3/apis/{spec['group']}/{version}"
            found.setdefault(path, set()).add(spec["names"]["kind"])
    return found


class ExternalCluster(Admin):
    """An existing cluster.

    Args:
        path: of a kubeconfig whose current context has the permissions that the tests need.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._content: JSON = yaml.safe_load(Path(path).read_text(encoding="utf-8"))

    def kubeconfig(self) -> JSON:
        """The content of the file."""
        return self._content
