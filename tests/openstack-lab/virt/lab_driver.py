# SPDX-License-Identifier: GPL-3.0-or-later
"""Nova's fake driver with what it lacks: machines that really answer, snapshots that are really uploaded, and builds
that take time or fail when told so.

How a build goes is said by the server's metadata `lab.build`, or for every build by the file LAB_DIR/build: words of
`delay SECONDS`, `abort` (the build ends in ERROR at once), `reschedule` (another host is looked for, there is none) and
`hang` (until the server is deleted).
"""
import io
import os
import pathlib
import subprocess
import time

from nova import exception
from nova.compute import power_state, task_states
from nova.image import glance
from nova.scheduler.client import report
from nova.virt import fake

LAB = pathlib.Path(os.environ["LAB_DIR"])
BARE_FLAVOR = "m1.bare"  # nothing runs on its servers
MACHINE = ["/usr/bin/python3", "-B", str(LAB / "lib" / "machine.py")]
SNAPSHOT = b"what a disk would hold\n" * 64

# Every claim of a build asks Placement for each server there is; only a move of servers needs the answer.
report.SchedulerReportClient.get_allocations_for_provider_tree = lambda *_: {}


class LabDriver(fake.FakeDriver):
    def init_host(self, host):
        super().init_host(host)
        for folder in (LAB / "machines").iterdir():  # servers of the time before a restart
            self.instances[folder.name] = fake.FakeInstance(folder.name, power_state.RUNNING, folder.name)

    def spawn(self, context, instance, image_meta, *arguments, network_info=None, **more):
        follow_orders(instance, orders(instance))
        super().spawn(context, instance, image_meta, *arguments, network_info=network_info, **more)
        (LAB / "machines" / instance.uuid).mkdir(exist_ok=True)
        address = first_address(network_info)
        if address and instance.flavor.name != BARE_FLAVOR:
            machine("start", instance.uuid, address)

    def destroy(self, context, instance, *arguments, **more):
        if instance.uuid in self.instances:
            super().destroy(context, instance, *arguments, **more)
        machine("stop", instance.uuid)

    def snapshot(self, context, instance, image_id, update_task_state):
        update_task_state(task_state=task_states.IMAGE_PENDING_UPLOAD)
        update_task_state(task_state=task_states.IMAGE_UPLOADING, expected_state=task_states.IMAGE_PENDING_UPLOAD)
        glance.API().update(context, image_id, {"disk_format": "raw", "container_format": "bare", "properties": {}},
                            data=io.BytesIO(SNAPSHOT))


def orders(instance):
    text = instance.metadata.get("lab.build")
    if text is None:
        try:
            text = (LAB / "build").read_text()
        except FileNotFoundError:
            text = ""
    return text.split()


def follow_orders(instance, words):
    if "delay" in words:
        time.sleep(float(words[words.index("delay") + 1]))
    if "abort" in words:
        raise exception.BuildAbortException(instance_uuid=instance.uuid, reason="the lab was told to abort it")
    if "reschedule" in words:
        raise exception.ComputeResourcesUnavailable(reason="the lab was told to try elsewhere")
    while "hang" in words:
        time.sleep(1)
        try:
            instance.refresh()
        except exception.InstanceNotFound:
            break
        if instance.task_state == task_states.DELETING:
            raise exception.UnexpectedDeletingTaskStateError(instance_uuid=instance.uuid, expected={}, actual={})


def first_address(network_info):
    addresses = [ip["address"] for vif in network_info or [] for ip in vif.fixed_ips()]
    return addresses[0] if addresses else None


def machine(verb, uuid, *address):
    done = subprocess.run([*MACHINE, verb, str(LAB), uuid, *address], capture_output=True, text=True)
    if done.returncode:
        raise exception.NovaException(f"machine.py {verb}: {done.stderr.strip()[-300:]}")
