# SPDX-License-Identifier: GPL-3.0-or-later
"""Two masters of Debian's icinga2 in one zone and a third node, on the shipped zones.conf."""
import re
import subprocess

import icinga
import nagios
import procs

NODES = ("master1", "master2", "lb1")
LISTENER = """\
const NodeName = "{name}"
const ZoneName = "{zone}"
object ApiListener "api" {{
	bind_host = "127.0.0.1"
	bind_port = {port}
	accept_commands = true
}}
"""


def openssl(*words, folder):
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def new_key(name):
    return ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
            "-keyout", f"{name}.key"]


def make_certificates(folder):
    """ca.crt, and NAME.key and NAME.crt of each node."""
    folder.mkdir(parents=True)
    openssl(*new_key("ca"), "-x509", "-days", "2", "-out", "ca.crt", folder=folder)
    for name in NODES:
        openssl(*new_key(name), "-out", f"{name}.csr", folder=folder)
        openssl("x509", "-req", "-days", "2", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
                "-CAcreateserial", "-out", f"{name}.crt", folder=folder)


def first_in_turn(name):
    """Whether master1 is in charge of the object NAME while both masters live: Utility::SDBM of its name."""
    value = 0
    for byte in name.encode():
        value = (byte + (value << 6) + (value << 16) - value) & (2 ** 64 - 1)
    return value % 2 == 0


def host_name(what):
    """A host called WHAT whose service is master1's."""
    return next(name for name in (f"{what}{i}" for i in range(99)) if first_in_turn(f"{name}!{nagios.SERVICE}"))


class Node(icinga.Icinga):
    def __init__(self, folder, name, plugins, ports, hosts):
        """`hosts`: their objects, as this node has them."""
        super().__init__(folder / name, plugins, config="")
        self.name, self.ports, self.certificates, self.hosts = name, ports, folder / "certs", hosts

    def write_files(self):
        text = nagios.shipped(icinga.SHIPPED + "/zones.conf").read_text()
        for name, port in self.ports.items():
            text, count = re.subn(rf'(Endpoint "{name}" {{\n\thost = )"[^"]+"', rf'\1"127.0.0.1"\n\tport = {port}', text)
            assert count == 1
        zone = "lb1" if self.name == "lb1" else "master"
        self.write_config(LISTENER.format(name=self.name, zone=zone, port=self.ports[self.name]) + text, self.hosts)
        certs = self.dir / "lib/certs"
        certs.mkdir(exist_ok=True)
        for kind in ("key", "crt"):
            (certs / f"{self.name}.{kind}").write_bytes((self.certificates / f"{self.name}.{kind}").read_bytes())
        (certs / "ca.crt").write_bytes((self.certificates / "ca.crt").read_bytes())

    def fired_for(self, host):
        """How often this node ran, or had run on the third one, the handler of HOST's service."""
        try:
            text = (self.dir / "icinga2.log").read_text(errors="replace")
        except OSError:
            return 0
        return text.count(f"Executing event handler 'nova_scale' for checkable '{host}!{nagios.SERVICE}'")

    def begin(self):
        """Runs the node; nothing looks at its status."""
        self.write_files()
        self.start_core()

    def die(self):
        """As a machine loses its power."""
        if self.child:
            procs.kill_group(self.child)
            self.child = None
