"""Sites: plan, apply and accept a description; images, configuration and service versions of deployments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from dpf_async._client.objects import ObjectMethods
from dpf_async._readers.progress import ProgressReporter
from dpf_async._readers.waits import Deadline
from dpf_async._rollout import deployments as rollout
from dpf_async._rollout import outdated
from dpf_async._site import acceptance, apply, plan
from dpf_async._site import service_versions as versions
from dpf_async._site.bmc_password import REFRESH_INTERVAL, BMCPassword, Password
from dpf_async.models import Secret

if TYPE_CHECKING:
    from dpf_async._readers.progress import ProgressListener
    from dpf_async._rollout.deployments import DeploymentChange
    from dpf_async._rollout.outdated import OutdatedDPU
    from dpf_async._site.apply import SiteObject
    from dpf_async._site.bmc_password import PasswordProvider
    from dpf_async._site.plan import SitePlan
    from dpf_async._site.service_versions import ServiceVersion
    from dpf_async._specs import SiteSpec
    from dpf_async._transitions.views import DeploymentView


class SiteMethods(ObjectMethods):
    """The methods of DPFClient for the objects of a site that exist before its hosts."""

    async def plan_site(self, site: SiteSpec) -> SitePlan:
        """Show what `create_initialization_objects` would do with each object of a site. Changes nothing.

        The server evaluates dry runs, so its validation, defaults and field managers are taken into account.

        Returns:
            The plan; `str(plan)` is for a person. It contains no value that may be a password.

        Raises:
            DecodeError: an object of the site exists and cannot be decoded.
            NotFound: the site has `operator_bfcfg`, and there is no DPFOperatorConfig.
            APIError, ConnectionFailed: the plan could not be made.
        """
        return await plan.plan_site(self, site)

    async def create_initialization_objects(
        self,
        site: SiteSpec,
        *,
        bmc_password: str | None = None,
        update: bool = False,
        force: bool = False,
        progress: ProgressListener | None = None,
    ) -> tuple[SiteObject, ...]:
        """Create all objects of a site that exist before its hosts; leave objects that match the description alone.

        Everything is planned first, as by `plan_site`. If the plan contains changes that the arguments do not allow,
        nothing is written. After an interruption, call it again to continue. Objects that the site no longer describes
        stay; the plan lists them.

        Args:
            site: the description.
            bmc_password: of the DPUs' BMCs, written to the Secret that DPF reads; None does not touch the Secret.
            update: change existing objects that differ. Immutable differences are refused in any case.
            force: take over fields that another field manager owns.
            progress: callback for each object and what was done about it.

        Returns:
            Each object, and whether it was created, changed or unchanged.

        Raises:
            SiteDiffers: existing objects differ, and update is False; it has the plan.
            Invalid: the server rejects objects, or a BFB or DPUFlavor of that name has other content. `.causes` lists
                all of them.
            AlreadyExists: an object of that name is being deleted.
            Conflict: another field manager owns a field that would change, and force is False.
            NotFound: the site has `operator_bfcfg`, and there is no DPFOperatorConfig.
            UsageError: bmc_password is empty, or not text.
            APIError, ConnectionFailed: a request failed; a note lists what existed by then.
        """
        password = None if bmc_password is None else Password(bmc_password)
        bmc_password = None  # so that no frame of a traceback has it
        if password is not None:
            password.usable()
        reporter = ProgressReporter("create_initialization_objects", progress)
        return await apply.apply_site(self, site, password, update=update, force=force, reporter=reporter)

    async def site_accepted(
        self, site: SiteSpec, *, timeout: float | None = None, progress: ProgressListener | None = None
    ) -> Mapping[str, DeploymentView]:
        """Wait until the operator has accepted the objects of a site.

        That is: every BFB is downloaded, and every DPUDeployment is reconciled at its current generation. Objects that
        do not exist yet are waited for.

        Args:
            site: the description.
            timeout: seconds from the call; None leaves it to the caller's cancel scope; 0 checks once.
            progress: callback for what each object waits for, as it changes.

        Returns:
            The DPUDeployments by name, in the views in which they were accepted.

        Raises:
            WaitTimeout: the message says for every object that is late what it waits for.
            SiteFailed: a BFB could not be downloaded, a DPUDeployment has a condition that needs a user's action, or
                one of them is being deleted.
            ObjectReplaced: one of them was deleted meanwhile, or recreated.
        """
        reporter = ProgressReporter("site_accepted", progress)
        return await acceptance.until_accepted(self, site, timeout=timeout, reporter=reporter)

    def bmc_password(self, provider: PasswordProvider, *, every: float = REFRESH_INTERVAL) -> BMCPassword:
        """Keep the Secret with the DPUs' BMC password equal to what provider returns: `async with dpf.bmc_password(…)`.

        The Secret has been written when the block is entered. Then the provider is called at intervals, and a changed
        password is written. If the provider raises, or the server fails transiently, that is logged and retried with
        backoff; `.health` reports it. The Secret is never read, and the password appears in no log, message or
        traceback.

        Args:
            provider: returns the current password.
            every: seconds between two calls of the provider, approximately.

        Raises:
            Forbidden, Invalid, NotFound: the server rejects the write; raised out of the block if that happens later.
            UsageError: the provider returned something that is not a password; raised out of the block as well.
        """
        return BMCPassword(lambda: self.resource(Secret), provider, every=every)

    async def update_dpu_deployment_bfb(
        self,
        name: str,
        bfb: str,
        *,
        timeout: float | None = None,
        progress: ProgressListener | None = None,
    ) -> DeploymentChange:
        """Change the BFB of a DPUDeployment. With OnDelete, a DPU gets it when it is reprovisioned.

        Args:
            name: of the DPUDeployment.
            bfb: name of the BFB; it must be Ready.
            timeout: seconds to wait until the operator has accepted the change; None does not wait.
            progress: callback for what the DPUDeployment waits for, as it changes.

        Returns:
            Whether it was changed, the previous references, and which of its DPUs are outdated.

        Raises:
            NotFound: there is no such DPUDeployment or BFB.
            UsageError: the BFB is not Ready, or one of the two is being deleted.
            WaitTimeout: it was written and is not accepted yet; the message says what it waits for.
            SiteFailed: it was written, and a condition needs a user's action before it can be accepted.
        """
        deadline = None if timeout is None else Deadline(timeout)
        reporter = ProgressReporter("update_dpu_deployment_bfb", progress)
        return await rollout.change(self, name, bfb=bfb, deadline=deadline, reporter=reporter)

    async def update_dpu_deployment_configuration(
        self,
        name: str,
        flavor: str,
        *,
        timeout: float | None = None,
        progress: ProgressListener | None = None,
    ) -> DeploymentChange:
        """Change the DPUFlavor of a DPUDeployment. With OnDelete, a DPU gets it when it is reprovisioned.

        Args:
            name: of the DPUDeployment.
            flavor: name of the DPUFlavor.
            timeout: seconds to wait until the operator has accepted the change; None does not wait.
            progress: callback for what the DPUDeployment waits for, as it changes.

        Returns:
            Whether it was changed, the previous references, and which of its DPUs are outdated.

        Raises:
            NotFound: there is no such DPUDeployment or DPUFlavor.
            UsageError: one of the two is being deleted.
            WaitTimeout: it was written and is not accepted yet; the message says what it waits for.
            SiteFailed: it was written, and a condition needs a user's action before it can be accepted.
        """
        deadline = None if timeout is None else Deadline(timeout)
        reporter = ProgressReporter("update_dpu_deployment_configuration", progress)
        return await rollout.change(self, name, flavor=flavor, deadline=deadline, reporter=reporter)

    async def outdated_dpus(
        self, deployments: Iterable[str] | None = None, *, label_selector: str = ""
    ) -> tuple[OutdatedDPU, ...]:
        """List the DPUs whose BFB or DPUFlavor differs from what their DPUDeployment has now.

        Args:
            deployments: names of DPUDeployments; None means all.
            label_selector: only DPUs that match, in Kubernetes' syntax.

        Returns:
            Sorted by DPUDeployment, DPUNode and name. A DPU that is being deleted counts until it is gone.

        Raises:
            NotFound: there is no such DPUDeployment.
            DecodeError: an object that is needed for the answer cannot be decoded.
        """
        return await outdated.find_outdated(self, deployments, label_selector=label_selector)

    async def service_versions(
        self, expected: SiteSpec | Mapping[str, str] | None = None
    ) -> tuple[ServiceVersion, ...]:
        """List the chart version of every service of every DPUDeployment, from its DPUServiceTemplate.

        Args:
            expected: a site whose services are compared; or versions by name of service.

        Returns:
            Sorted by DPUDeployment and name; expected services that do not exist are included.

        Raises:
            DecodeError: an object that is needed for the answer cannot be decoded.
        """
        return await versions.service_versions(self, expected)
