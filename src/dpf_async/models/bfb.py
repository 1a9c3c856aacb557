"""BFB: the image that DPUs are installed with, and the state of its download.

Source of the schema: DPF v26.4 bfbs CRD.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from dpf_async.models.constraints import REQUIRED, Int64, pattern, server_default
from dpf_async.models.meta import AGE, Condition, PrinterColumn, Resource
from dpf_async.models.names import PROVISIONING_GROUP
from dpf_async.models.phases import BFBPhase
from dpf_async.models.rules import Rule, Rules, TransitionRule, has, immutable, name_at_most
from dpf_async.models.wire import ListOf, Wire

__all__ = ["BFB", "BFBSpec", "BFBStatus", "BFBVersions", "BFBVersionsFound"]

_VERSIONS = ("bsp", "doca", "uefi", "atf")


class BFBVersionsFound(Wire):
    """The versions that the operator read from the downloaded image."""

    bsp: Annotated[str, immutable("the BSP version")] | None = None
    doca: Annotated[str, immutable("the DOCA version")] | None = None
    uefi: Annotated[str, immutable("the UEFI version")] | None = None
    atf: Annotated[str, immutable("the ATF version")] | None = None


class BFBVersions(BFBVersionsFound):
    """The versions of the image according to the user; all four, or none."""

    RULES: ClassVar[Rules] = (
        Rule(
            cel=" && ".join(f"has(self.{part}) && size(self.{part}) > 0" for part in _VERSIONS),
            message="give all four versions: bsp, doca, uefi and atf",
            holds=lambda versions: all(getattr(versions, part) for part in _VERSIONS),
        ),
    )


class BFBSpec(Wire):
    """The URL of the image."""

    RULES: ClassVar[Rules] = (
        TransitionRule(
            cel="has(self.versions) || !has(oldSelf.versions)",
            message="versions cannot be removed after they were set",
            allows=lambda old, new: has(new, "versions") or not has(old, "versions"),
        ),
    )

    url: Annotated[str, pattern("^(http|https)://.+$"), immutable("the URL of a BFB")]
    file_name: (
        Annotated[str, pattern(r"^[A-Za-z0-9\_\-\.]+\.bfb$"), immutable("the file name of a BFB")] | None
    ) = None
    versions: BFBVersions | None = None


class BFBStatus(Wire):
    """The phase of the download, and the versions of the image."""

    phase: Annotated[BFBPhase, REQUIRED] = BFBPhase.INITIALIZING
    file_name: str | None = None
    """File of the image: `<namespace>-<name>.bfb` unless spec.fileName is set (docs/dpf/deployments.md#bfb)."""
    versions: BFBVersionsFound | None = None
    conditions: ListOf[Condition] = ()
    observed_generation: Int64 | None = None


class BFB(Resource):
    """An image for DPUs; DPUs are provisioned with it only after its phase is Ready."""

    GROUP: ClassVar[str] = PROVISIONING_GROUP
    KIND: ClassVar[str] = "BFB"
    PLURAL: ClassVar[str] = "bfbs"
    PRINTER_COLUMNS: ClassVar[tuple[PrinterColumn, ...]] = (PrinterColumn("Phase", ".status.phase"), AGE)
    RULES: ClassVar[Rules] = (name_at_most(187),)

    spec: BFBSpec
    status: Annotated[BFBStatus, server_default({"phase": "Initializing"})] = Field(default_factory=BFBStatus)
