"""An API server under a simulated site that somebody else runs, known by a kubeconfig."""

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
"""What in a kubeconfig may be a path relative to the kubeconfig's own folder."""


class ExternalServer:
    """What a kubeconfig tells of one API server.

    Args:
        source: path or content of the kubeconfig.
        context: of it; None means its current one.
        namespace: of the kubeconfigs made from it.
    """

    def __init__(self, source: Kubeconfig, context: str | None, *, namespace: str) -> None:
        self.source = source
        self.context = context
        self._namespace = namespace

    @property
    def url(self) -> str:
        """Where the API is.

        Raises:
            UsageError: the kubeconfig does not say.
        """
        (cluster,) = self.kubeconfig(namespace=self._namespace)["clusters"]
        return str(cluster["cluster"]["server"])

    def kubeconfig(self, *, token: str | None = None, namespace: str) -> dict[str, Any]:  # Any: it is YAML
        """A kubeconfig with nothing but the way to this server, which works in any folder.

        Args:
            token: of the user to be; None means the user of the one given.
            namespace: of its context.

        Raises:
            UsageError: the one given cannot be read, or lacks its context, cluster or user.
        """
        content, folder = self._read()
        name = self.context or content.get("current-context") or ""
        context = _named(content, "context", name)
        cluster = _absolute(_named(content, "cluster", str(context.get("cluster"))), folder)
        user = {"token": token}
        if token is None:
            user = _absolute(_named(content, "user", str(context.get("user"))), folder)
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
        """Write such a kubeconfig to a file that only its owner can read."""
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
            # Without the error's own text: YAML errors quote what they could not read, and there may be secrets in it.
            raise UsageError(f"kubeconfig {file} cannot be read: {type(error).__name__}") from None
        return content if isinstance(content, dict) else {}, file.absolute().parent


def _named(content: Mapping[str, Any], what: str, name: str) -> dict[str, Any]:
    for one in content.get(f"{what}s") or ():
        if one.get("name") == name:
            found: dict[str, Any] = one.get(what) or {}
            return found
    raise UsageError(f"the kubeconfig given has no {what} {name!r}")


def _absolute(part: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    paths = {key: str(folder / part[key]) for key in _FILES if part.get(key)}
    return {**part, **paths}
