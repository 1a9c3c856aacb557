"""BFB: the image that DPUs are installed from, and whether it has been downloaded.

Source of the schema: DPF v26.4 bfbs CRD.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from dpf_async.models.constraints import REQUIRED, Int64, pattern, server_default
from dpf_async.models.meta import AGE, Condition, PrinterColumn, Resource
from dpf_async.models.names import PROVISIONING_GROUP
from dpf_async.models.phases import BFBPhase
from dpf_async.models.rules import Rule, Rules, Transition, has, immutable, name_at_most
from dpf_async.models.wire import ListOf, Wire

__all__ = ["BFB", "BFBSpec", "BFBStatus", "BFBVersions", "BFBVersionsFound"]

_VERSIONS = ("bsp", "doca", "uefi", "atf")


class BFBVersionsFound(Wire):
    """The versions the operator read from the downloaded image."""

    bsp: Annotated[str, immutable("the BSP version")] | None = None
    doca: Annotated[str, immutable("the DOCA version")] | None = None
    uefi: Annotated[str, immutable("the UEFI version")] | None = None
    atf: Annotated[str, immutable("the ATF version")] | None = None


class BFBVersions(BFBVersionsFound):
    """The versions the user says the image has; all four, or none."""

    RULES: ClassVar[Rules] = (
        Rule(
            cel=" && ".join(f"has(self.{part}) && size(self.{part}) > 0" for part in _VERSIONS),
            message="give all four versions: bsp, doca, uefi and atf",
            holds=lambda versions: all(getattr(versions, part) for part in _VERSIONS),
        ),
    )


class BFBSpec(Wire):
    """Where the image is."""

    RULES: ClassVar[Rules] = (
        Transition(
            cel="has(self.versions) || !has(oldSelf.versions)",
            message="versions cannot be taken away once they are set",
            allows=lambda old, new: has(new, "versions") or not has(old, "versions"),
        ),
    )

    url: Annotated[str, pattern("^(http|https)://.+$"), immutable("the URL of a BFB")]
    file_name: (
        Annotated[str, pattern(r"^[A-Za-z0-9\_\-\.]+\.bfb$"), immutable("the file name of a BFB")] | None
    ) = None
    versions: BFBVersions | None = None


class BFBStatus(Wire):
    """How far the download is, and what the image turned out to be."""

    phase: Annotated[BFBPhase, REQUIRED] = BFBPhase.INITIALIZING
    file_name: str | None = None
    """File of the image: `<namespace>-<name>.bfb` unless spec.fileName says otherwise (dpf-facts 7.3)."""
    versions: BFBVersionsFound | None = None
    conditions: ListOf[Condition] = ()
    observed_generation: Int64 | None = None


class BFB(Resource):
    """An image for DPUs; nothing is provisioned from it before its phase is Ready."""

    GROUP: ClassVar[str] = PROVISIONING_GROUP
    KIND: ClassVar[str] = "BFB"
    PLURAL: ClassVar[str] = "bfbs"
    PRINTER_COLUMNS: ClassVar[tuple[PrinterColumn, ...]] = (PrinterColumn("Phase", ".status.phase"), AGE)
    RULES: ClassVar[Rules] = (name_at_most(187),)

    spec: BFBSpec
    status: Annotated[BFBStatus, server_default({"phase": "Initializing"})] = Field(default_factory=BFBStatus)
