# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's icinga2 as the core: unprivileged, on the shipped commands and services.

Its status and its events are written in Nagios' formats by two of its own features, so all that looks
at a core is shared with nagios.py.
"""
import json
import os
import pathlib
import re
import shutil

import nagios
import procs

PROGRAM = "icinga2"
SHIPPED = "contrib/icinga2"

SINGLE = """\
const NodeName = "icinga"
const ZoneName = NodeName
object Endpoint NodeName { }
object Zone ZoneName { endpoints = [ NodeName ] }
"""
# What Debian's icinga2.conf has, without its example hosts
ICINGA2_CONF = """\
const PluginDir = {plugins}
include <itl>
include <plugins>
object CheckerComponent "checker" {{ }}
object FileLogger "log" {{
	severity = "notice"
	path = {dir} + "/icinga2.log"
}}
object StatusDataWriter "status" {{
	status_path = {dir} + "/status.dat"
	objects_path = {dir} + "/objects.cache"
	update_interval = 0.5
}}
object CompatLogger "events" {{ log_dir = {dir} + "/events" }}
include {shipped} + "/commands.conf"
include {shipped} + "/services.conf"
"""
HOST = """\
object Host "{host}" {{
	check_command = "dummy"
	vars.clusterscale["web"] = {{
		clusterscale_cluster = {cluster}
		check_interval = {interval_s}
		clusterscale_config = {config}
	}}
}}
"""
CHECK_TIMEOUT = """\
apply Service "cluster " for (cluster => config in host.vars.limited) {{
	import "cluster-cpu"
	event_command = "nova_scale_limited"
	check_timeout = {check_timeout}
	check_interval = {interval_s}
	retry_interval = {interval_s}
	vars += config
}}
object EventCommand "nova_scale_limited" {{
	import "nova_scale"
	timeout = {handler_timeout}
}}
"""
PER_INSTANCE = """\
object PerfdataWriter "each" {{
	host_perfdata_path = {path} + "-hosts"
	host_temp_path = {path} + "-hosts.part"
	service_perfdata_path = {path}
	service_temp_path = {path} + "-services.part"
	service_format_template = "$service.name$ $service.perfdata$"
	rotation_interval = 1
}}
object Service "each" {{
	import "cluster-cpu"
	host_name = "{host}"
	check_interval = 1
	vars.clusterscale_cluster = "web"
	vars.clusterscale_config = {config}
	vars.clusterscale_perfdata_per_instance = true
}}
"""


def quoted(text):
    """A string of Icinga's language; $ is doubled, as in a command's arguments $NAME$ is a macro."""
    return json.dumps(str(text).replace("$", "$$"))


def installed():
    return shutil.which(PROGRAM) is not None


class Icinga(nagios.Nagios):
    title, log_holds = "Debian's icinga2", "what the core did: handlers"
    broken = "UNKNOWN"

    def __init__(self, directory, plugins, on_result=lambda text, changed: None, *, config, cluster="web",
                 interval_s=1, retain=1, check_timeout=60, handler_timeout=60, more="", more_objects=""):
        super().__init__(directory, plugins, on_result, config=config)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.log_path, self.config = self.dir / "events/icinga.log", self.dir / "icinga2.conf"
        self.retain, self.more = retain, more + more_objects
        self.host = {"host": nagios.HOST, "cluster": quoted(cluster), "interval_s": interval_s,
                     "config": quoted(config), "check_timeout": check_timeout, "handler_timeout": handler_timeout}
        self.limited = (check_timeout, handler_timeout) != (60, 60)

    def write_files(self):
        host = HOST.format(**self.host)
        if self.limited:
            host = host.replace("vars.clusterscale[", "vars.limited[") + CHECK_TIMEOUT.format(**self.host)
        self.write_config(SINGLE, host + self.more)
        if not self.retain:
            (self.dir / "lib/icinga2.state").unlink(missing_ok=True)

    def write_config(self, before, behind):
        for folder in ("events", "lib", "log", "cache", "spool", "run"):
            (self.dir / folder).mkdir(parents=True, exist_ok=True)
        self.config.write_text(before + ICINGA2_CONF.format(
            plugins=quoted(self.plugins), dir=quoted(self.dir), shipped=quoted(nagios.shipped(SHIPPED))) + behind)

    def command(self, *words):
        places = {"ConfigDir": "", "DataDir": "lib", "LogDir": "log", "CacheDir": "cache", "SpoolDir": "spool",
                  "InitRunDir": "run"}
        return [PROGRAM, *words, *(f"-D{name}={self.dir / folder}" for name, folder in places.items()),
                f"-DRunAsUser={user()}", f"-DRunAsGroup={group()}"]

    def start_core(self):
        self.child = procs.spawn(self.command("daemon", "-c", self.config), self.dir / "icinga2.out")

    def service(self):
        service = super().service()
        if service and "check_execution_time" in service:  # last_check stays -1: by this a result is another one
            service["last_check"] = service["check_execution_time"] + service["check_latency"]
        return service

    @classmethod
    def per_instance(cls, path, config):
        return {"more": PER_INSTANCE.format(path=quoted(path), config=quoted(config), host=nagios.HOST)}

    def given_up(self):
        try:
            text = (self.dir / "icinga2.log").read_text(errors="replace")
        except OSError:
            return 0
        return len(re.findall(r"after timeout of", text))


def user():
    return pathlib.Path("/proc/self").owner()


def group():
    return pathlib.Path("/proc/self").group()
