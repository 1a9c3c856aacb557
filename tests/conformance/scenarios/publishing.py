"""OpenAPI v3: the documents of custom kinds, and the HTTP headers of the documents."""

from __future__ import annotations

from typing import Any, Final

from tests.conformance.exchanges import ask, get, scenario
from tests.conformance.kinds import GROUP

__all__ = ["SCENARIOS"]

_OURS: Final = (f"apis/{GROUP}/", "apis/provisioning.dpu.", "apis/svc.dpu.", "apis/operator.dpu.")
_PROTOBUF: Final = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf"
_DOCUMENT: Final = f"/openapi/v3/apis/{GROUP}/v1"


def _our_paths(index: Any) -> Any:
    """Keep only the documents that both servers have, without the hash, which depends on the order of members."""
    return {
        name: item["serverRelativeURL"].partition("?hash=")[0]
        for name, item in index["paths"].items()
        if name.startswith(_OURS)
    }


SCENARIOS: Final = (
    scenario(
        "publishing",
        get("index", "/openapi/v3", view=_our_paths),
        get("document", _DOCUMENT),
        get("beta", f"/openapi/v3/apis/{GROUP}/v1beta1"),
        get("provisioning", "/openapi/v3/apis/provisioning.dpu.nvidia.com/v1alpha1"),
        get("svc", "/openapi/v3/apis/svc.dpu.nvidia.com/v1alpha1"),
        get("operator", "/openapi/v3/apis/operator.dpu.nvidia.com/v1alpha1"),
        get("as-json", _DOCUMENT, accept="application/json"),
        get("as-whatever", _DOCUMENT, accept="*/*"),
        get("as-yaml", _DOCUMENT, accept="application/yaml"),
        get("as-choice", _DOCUMENT, accept=f"text/html,{_PROTOBUF};q=0.1,application/json"),
        get("no-group", "/openapi/v3/apis/no.such.group/v1"),
        get("no-version", f"/openapi/v3/apis/{GROUP}/v9"),
        get("no-name", "/openapi/v3/"),
        get("too-deep", f"{_DOCUMENT}/widgets"),
        ask("post-document", "POST", _DOCUMENT, {}),
    ),
)
