"""Hosts: register, verify, answer, reprovision and delete."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from dpf_async._client.objects import ObjectMethods
from dpf_async._hosts import deletion, forced_deletion, registration, reprovisioning
from dpf_async._hosts.fault_grace import GRACE, FaultGrace
from dpf_async._readers.progress import ProgressReporter
from dpf_async._readers.waits import Deadline
from dpf_async._session.lookup_hints import lookup_hint
from dpf_async._site import labels as host_labels
from dpf_async._transitions.levels import discovered
from dpf_async.models import DPU, DPUNode

if TYPE_CHECKING:
    from dpf_async._hosts.forced_deletion import ForcedDeletion
    from dpf_async._hosts.registration import IfTerminating
    from dpf_async._hosts.reprovisioning import IfInstalling
    from dpf_async._hosts.stale_holds import IfReleased
    from dpf_async._readers.progress import ProgressListener
    from dpf_async._site.labels import LabelMismatch
    from dpf_async._specs import DeviceSpec, HostSpec
    from dpf_async._transitions.views import DPUView, NodeView

FORCE_GRACE_PERIOD: Final = 60.0
"""Seconds for which a forced deletion tries without force (chosen: many reconciles of the operator, 5 to 30 s each)."""


class HostMethods(ObjectMethods):
    """The methods of DPFClient for hosts and their DPUs."""

    async def create_dpu_node(
        self,
        name: str,
        devices: Sequence[DeviceSpec],
        *,
        labels: Mapping[str, str] | None = None,
        if_terminating: IfTerminating = "refuse",
        timeout: float | None = None,
        progress: ProgressListener | None = None,
    ) -> NodeView:
        """Register a host and its DPUs with DPF. Objects that match are not modified; mutable fields are updated.

        All objects are read before the first write: if any part is refused, nothing is written. Labels, the address of
        a BMC and the list of devices may change. A label by which a group selects hosts moves the host to another
        group, and DPF recreates its DPUs.

        Args:
            name: of the DPUNode.
            devices: its DPUs.
            labels: for the DPUNode; labels of other managers stay.
            if_terminating: if an object of the same name is being deleted, "refuse" raises, "wait" waits until it is
                gone.
            timeout: seconds for that wait; None leaves it to the caller's cancel scope.
            progress: callback for what is written and waited for.

        Returns:
            The current view of the node. Wait for more with `host_discovered` or `node(name).until(…)`.

        Raises:
            UsageError: the description breaks a rule; nothing was sent.
            AlreadyExists: the node or a device of that name is being deleted (`.terminating`).
            WaitTimeout: it is still being deleted.
            Invalid: an object exists with a value that is immutable; the message has both values.
            APIError, ConnectionFailed: a request failed; a note lists what was written by then.
        """
        await registration.register(
            self,
            name,
            devices,
            labels or {},
            if_terminating=if_terminating,
            deadline=Deadline(timeout),
            reporter=ProgressReporter("create_dpu_node", progress),
        )
        return await self.node(name).view()

    async def host_discovered(
        self,
        name: str,
        *,
        grace: float | None = GRACE,
        timeout: float | None = None,
        progress: ProgressListener | None = None,
    ) -> NodeView:
        """Wait until DPF has accepted a host and discovered every DPU of it as it was registered.

        Args:
            name: of the DPUNode; one that does not exist yet is waited for.
            grace: seconds for which a device may be faulty before the wait ends; the operator retries about every
                30 s. None waits as long as the timeout allows.
            timeout: seconds; None leaves it to the caller's cancel scope.
            progress: callback for what is waited for.

        Returns:
            The view in which the DPUNode was accepted and every DPUDevice was Ready.

        Raises:
            DeviceFailed: a device was faulty for the grace period: a refused password, another serial number.
            WaitTimeout: with the last view; the message says what is missing.
            ObjectReplaced: the DPUNode was deleted meanwhile.
        """
        reporter = ProgressReporter("host_discovered", progress)
        deadline = Deadline(timeout)
        return await FaultGrace(self.node(name), grace=grace, reporter=reporter, deadline=deadline).until(
            discovered
        )

    async def verify_labels(
        self, host: HostSpec, *, owned: Callable[[str], bool] | None = None, repair: bool = False
    ) -> tuple[LabelMismatch, ...]:
        """Compare the labels of a host's DPUNode, DPUDevices and DPUs with its description.

        Args:
            host: with its labels, as `label_host` gives them.
            owned: returns whether a label key is managed by the caller alone, as ResourceLabeler.owns does: a label
                with such a key that is not described is stale. None treats no label as stale.
            repair: write the described labels to DPUNode and DPUDevices and remove stale ones. Labels of DPUs are
                copied when DPF creates the DPU, so they are only reported. DPF deletes the DPUs of a host that its
                group no longer selects.

        Returns:
            Every label that differs; empty if none does.

        Raises:
            NotFound: the DPUNode or a DPUDevice is not registered.
            APIError, ConnectionFailed: the labels could not be read or repaired.
        """
        return await host_labels.verify_labels(self, host, owned=owned, repair=repair)

    async def mark_dpu_node_ready_for_maintenance(
        self, name: str, *, in_advance: bool = False, timeout: float | None = None
    ) -> bool:
        """Release the hold on a node: its workloads are moved, and DPF may start the maintenance.

        Args:
            name: of the DPUNode.
            in_advance: release a hold that DPF has created and not requested yet, because it waits for other DPUs of
                the host to join.
            timeout: seconds to wait until DPF has applied the release; None does not wait.

        Returns:
            True if this call released it, False if it was released already.

        Raises:
            NotFound: there is no such DPUNode, or it is not held; the message says which.
        """
        with lookup_hint(DPUNode, name):
            return await self.node(name).release_hold(in_advance=in_advance, timeout=timeout)

    async def mark_dpu_node_rebooted(self, name: str, *, timeout: float | None = None) -> bool:
        """Confirm to DPF that a host has been rebooted.

        Args:
            name: of the DPUNode.
            timeout: seconds to wait until DPF has processed the confirmation; None does not wait.

        Returns:
            True if a request was pending and is answered now, False if none was pending.

        Raises:
            NotFound: there is no such DPUNode, or it was recreated meanwhile.
        """
        with lookup_hint(DPUNode, name):
            return await self.node(name).confirm_reboot(timeout=timeout)

    async def is_dpu_node_waiting_for_reboot(self, name: str) -> bool:
        """Whether DPF waits for a reboot of this host, read from the server and not from the cache.

        Raises:
            NotFound: there is no such DPUNode.
        """
        with lookup_hint(DPUNode, name):
            return await self.node(name).is_waiting_for_reboot()

    async def is_dpu_ready(self, name: str) -> bool:
        """Whether the DPU of this name is ready, read from the server; a DPU that is being deleted is not.

        Raises:
            NotFound: there is no such DPU.
        """
        with lookup_hint(DPU, name):
            return await self.dpu(name).is_ready()

    async def reprovision_dpu(
        self,
        name: str,
        *,
        uid: str | None = None,
        if_installing: IfInstalling = "wait",
        if_released: IfReleased = "request_again",
        timeout: float | None = None,
        progress: ProgressListener | None = None,
    ) -> DPUView:
        """Delete a DPU object and wait until DPF has created its successor, which is provisioned from the beginning.

        Args:
            name: of the DPU.
            uid: of the DPU to replace. If it is given again after a restart, the call finds what was done already.
            if_installing: while its OS is being installed, DPF does not delete a DPU: "wait" waits until the
                installation is over (up to 45 min), "refuse" raises before anything is deleted.
            if_released: if a released hold would be left over, the new DPU would not request one
                (docs/dpf/hold.md#stale-release): "request_again" makes DPF request it again, "refuse" raises before
                anything is deleted, "accept" continues. Each of them is reported.
            timeout: seconds; None leaves it to the caller's cancel scope.
            progress: callback for what is done and waited for.

        Returns:
            The new DPU. It is provisioned from the beginning, its hold included.

        Raises:
            NotFound: there is no such DPU, and no uid was given.
            Conflict: every attempt at the deletion conflicted, though the DPU is still the one with this uid.
            DPUInstalling: its OS is being installed, and if_installing is "refuse".
            StaleRelease: a released hold would be left over, and if_released is "refuse", or it is too late to make DPF
                request it again.
            WaitTimeout: the old DPU still exists, or no successor was created; the message says why.
        """
        with lookup_hint(DPU, name):
            return await reprovisioning.reprovision(
                self,
                name,
                uid=uid,
                if_installing=if_installing,
                if_released=if_released,
                deadline=Deadline(timeout),
                reporter=ProgressReporter("reprovision_dpu", progress),
            )

    async def delete_dpu(
        self, device: str, *, timeout: float | None = None, progress: ProgressListener | None = None
    ) -> None:
        """Delete a DPU permanently: its DPUDevice, its DPU, and its entry in the DPUNode. Already gone is success.

        With the last DPU of a host, the node effect that was requested for it ends as well. After an interruption, call
        it again to continue. While the OS of a DPU is being installed, DPF does not delete it: the deletion completes
        when the installation is over or has timed out, by default after 45 min.

        Args:
            device: name of the DPUDevice.
            timeout: seconds; None leaves it to the caller's cancel scope; 0 requests the deletion and checks once.
            progress: callback for what each object waits for, as it changes.

        Raises:
            WaitTimeout: objects still exist; the message names them and their state.
            UsageError: no such device exists, and the name belongs to a DPU or DPUNode, or is not a valid name.
            Conflict: another client keeps changing an object that has to be changed.
            DecodeError: an object that may belong to the DPU cannot be decoded.
            APIError, ConnectionFailed: a request failed; a note lists what was done by then.
        """
        reporter = ProgressReporter("delete_dpu", progress)
        await deletion.delete_dpu(self, device, timeout=timeout, reporter=reporter)

    async def force_delete_dpu(
        self,
        device: str,
        *,
        grace_period: float = FORCE_GRACE_PERIOD,
        progress: ProgressListener | None = None,
    ) -> ForcedDeletion:
        """Delete a DPU as `delete_dpu` does; after grace_period, remove the finalizers of DPF that still block it.

        Args:
            device: name of the DPUDevice.
            grace_period: seconds for the deletion without force, and again for what is deleted after the force.
            progress: callback for what is done about each object, the force included.

        Returns:
            What was forced, and what may be left behind for an administrator to clean up. It is logged, too.

        Raises:
            WaitTimeout: a finalizer of another controller blocks an object; notes list what was forced by then.
            UsageError, Conflict, DecodeError: as for `delete_dpu`.
            APIError, ConnectionFailed: a request failed; notes list what was done and forced by then.
        """
        reporter = ProgressReporter("force_delete_dpu", progress)
        return await forced_deletion.force_delete_dpu(
            self, device, grace_period=grace_period, reporter=reporter
        )

    async def delete_dpu_node(
        self, name: str, *, timeout: float | None = None, progress: ProgressListener | None = None
    ) -> None:
        """Delete a host: its DPUNode with its DPUs, DPUDevices and DPUNodeMaintenances. Already gone is success.

        After an interruption, call it again to continue. See `delete_dpu` for DPUs whose OS is being installed.

        Args:
            name: of the DPUNode.
            timeout: seconds; None leaves it to the caller's cancel scope; 0 requests the deletion and checks once.
            progress: callback for what each object waits for, as it changes.

        Raises:
            WaitTimeout: objects still exist; the message names them and their state.
            UsageError: no such DPUNode exists, and the name belongs to a DPU or DPUDevice, or is not a valid name.
            Conflict: another client keeps changing an object that has to be changed.
            DecodeError: an object that may belong to the host cannot be decoded.
            APIError, ConnectionFailed: a request failed; a note lists what was done by then.
        """
        reporter = ProgressReporter("delete_dpu_node", progress)
        await deletion.delete_dpu_node(self, name, timeout=timeout, reporter=reporter)

    async def force_delete_dpu_node(
        self, name: str, *, grace_period: float = FORCE_GRACE_PERIOD, progress: ProgressListener | None = None
    ) -> ForcedDeletion:
        """Delete a host as `delete_dpu_node` does; after grace_period, remove the finalizers of DPF that block it.

        Args:
            name: of the DPUNode.
            grace_period: seconds for the deletion without force, and again for what is deleted after the force.
            progress: callback for what is done about each object, the force included.

        Returns:
            What was forced, and what may be left behind for an administrator to clean up. It is logged, too.

        Raises:
            WaitTimeout: a finalizer of another controller blocks an object; notes list what was forced by then.
            UsageError, Conflict, DecodeError: as for `delete_dpu_node`.
            APIError, ConnectionFailed: a request failed; notes list what was done and forced by then.
        """
        reporter = ProgressReporter("force_delete_dpu_node", progress)
        return await forced_deletion.force_delete_dpu_node(
            self, name, grace_period=grace_period, reporter=reporter
        )
