"""ExternalServer: an API server outside of the simulated site, described by a kubeconfig."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from dpf_async.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dpf_async._api.config import Kubeconfig

__all__ = ["ExternalServer"]

_FILES: Final = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
"""Fields of a kubeconfig that may be paths relative to its folder."""


class ExternalServer:
    """One API server of a kubeconfig.

    Args:
        source: path or content of the kubeconfig.
        context: of the kubeconfig; None means its current one.
        namespace: of the kubeconfigs created from it.
    """

    def __init__(self, source: Kubeconfig, context: str | None, *, namespace: str) -> None:
        self.source = source
        self.context = context
        self._namespace = namespace

    @property
    def url(self) -> str:
        """The URL of the API server.

        Raises:
            UsageError: the kubeconfig cannot be read or has no such server.
        """
        (cluster,) = self.kubeconfig(namespace=self._namespace)["clusters"]
        return str(cluster["cluster"]["server"])

    def kubeconfig(self, *, token: str | None = None, namespace: str) -> dict[str, Any]:  # Any: it is YAML
        """A kubeconfig with only this server, in which all paths are absolute.

        Args:
            token: bearer token of the user; None means the user of the source.
            namespace: of its context.

        Raises:
            UsageError: the source cannot be read, or has no such context, cluster or user.
        """
        content, folder = self._read()
        name = self.context or content.get("current-context") or ""
        context = _entry(content, "context", name)
        cluster = _absolute(_entry(content, "cluster", str(context.get("cluster"))), folder)
        user = {"token": token}
        if token is None:
            user = _absolute(_entry(content, "user", str(context.get("user"))), folder)
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
            "current-context": name,
        }

    def write_kubeconfig(
        self, path: str | os.PathLike[str], *, token: str | None = None, namespace: str
    ) -> None:
        """Write that kubeconfig to a file that only its owner can read."""
        file = Path(path)
        file.touch(mode=0o600)
        content = yaml.safe_dump(self.kubeconfig(token=token, namespace=namespace))
        file.write_text(content, encoding="utf-8")

    def _read(self) -> tuple[dict[str, Any], Path]:
        if isinstance(self.source, dict):
            return self.source, Path.cwd()
        file = Path(self.source).expanduser()
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            # Without the text of the error: YAML errors quote the content, which may contain secrets.
            raise UsageError(f"kubeconfig {file} cannot be read: {type(error).__name__}") from None
        return content if isinstance(content, dict) else {}, file.absolute().parent


def _entry(content: Mapping[str, Any], kind: str, name: str) -> dict[str, Any]:
    for one in content.get(f"{kind}s") or ():
        if one.get("name") == name:
            found: dict[str, Any] = one.get(kind) or {}
            return found
    raise UsageError(f"the kubeconfig has no {kind} {name!r}")


def _absolute(part: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    paths = {key: str(folder / part[key]) for key in _FILES if part.get(key)}
    return {**part, **paths}
