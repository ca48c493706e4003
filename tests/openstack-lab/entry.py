#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""entry.py PROGRAM ARGUMENTS: a program of OpenStack by its entry point, as Debian's python3-* packages have no
start scripts for most of them."""
import importlib
import os
import sys

PROGRAMS = {
    "keystone-manage": "keystone.cmd.manage:main",
    "glance-manage": "glance.cmd.manage:main",
    "placement-manage": "placement.cmd.manage:main",
    "neutron-db-manage": "neutron.db.migration.cli:main",
    "nova-manage": "nova.cmd.manage:main",
    "neutron": "neutron.cmd.eventlet.server:main",
    "nova-conductor": "nova.cmd.conductor:main",
    "nova-scheduler": "nova.cmd.scheduler:main",
    "nova-compute": "nova.cmd.compute:main",
}


def prepare(program):
    if program == "neutron":
        import neutron.cmd.eventlet.server  # noqa: F401  (patches the standard library first)
        import neutron.db.migration.models.head  # noqa: F401  (every table there is)
        import sqlalchemy.orm
        # Left to the workers after the fork, the first of their requests fails with 500.
        sqlalchemy.orm.configure_mappers()
    if program == "nova-compute":
        import nova.virt
        nova.virt.__path__.append(os.path.join(os.environ["LAB_DIR"], "lib", "virt"))


def main():
    program = sys.argv[1]
    sys.argv = [program, *sys.argv[2:]]
    module, _, function = PROGRAMS[program].partition(":")
    entry = importlib.import_module(module)
    prepare(program)
    sys.exit(getattr(entry, function)())


if __name__ == "__main__":
    main()
