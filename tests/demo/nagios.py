# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's nagios4 as the core: unprivileged, on the shipped commands and service template.

Everything it writes lies in one directory. It runs in the foreground as a child, its clock is
made of seconds (interval_length=1), and what Debian's nagios.cfg sets is set the same way here,
the trap included that a check's time-out becomes CRITICAL.
"""
import os
import pathlib
import re
import shutil
import threading

import procs

PROGRAM = "nagios4"
SHIPPED = "contrib/nagios/clusterscale.cfg"
DEBIAN_OBJECTS = pathlib.Path("/etc/nagios4/objects")
HOST, SERVICE = "lb1", "cluster web"
STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
LOOK_EVERY_S = 0.2
# What a core says when a check or handler gave it trouble
TROUBLE = re.compile(r"timed out|Error|[Cc]ould not|return code of|"
                     r"wproc: (?!Successfully|Registry)")

NAGIOS_CFG = """\
log_file={dir}/nagios.log
cfg_file={objects}/commands.cfg
cfg_file={objects}/contacts.cfg
cfg_file={objects}/timeperiods.cfg
cfg_file={objects}/templates.cfg
cfg_file={shipped}
cfg_file={dir}/site.cfg
resource_file={dir}/resource.cfg
nagios_user={user}
nagios_group={group}
object_cache_file={dir}/objects.cache
precached_object_file={dir}/objects.precache
status_file={dir}/status.dat
status_update_interval=1
lock_file={dir}/nagios.pid
temp_file={dir}/nagios.tmp
temp_path={dir}
check_result_path={dir}/checkresults
query_socket={dir}/nagios.qh
state_retention_file={dir}/retention.dat
retain_state_information={retain}
check_external_commands=0
check_for_updates=0
enable_notifications=0
log_rotation_method=n
use_syslog=0
log_event_handlers=1
interval_length=1
service_inter_check_delay_method=n
host_inter_check_delay_method=n
check_result_reaper_frequency=1
service_check_timeout={check_timeout}
service_check_timeout_state=c
event_handler_timeout={handler_timeout}
illegal_object_name_chars=`~!$%^&*|'"<>?,()=
illegal_macro_output_chars=`~$&|'"<>
{more}
"""
SITE_CFG = """\
define host {{
	use                   generic-host
	host_name             {host}
	max_check_attempts    1
}}
define service {{
	use                   cluster-cpu
	host_name             {host}
	service_description   {service}
	_CLUSTER              {cluster}
	_CONFIG               {config}
	check_interval        {interval_s}
	retry_interval        {interval_s}
}}
{more_objects}
"""
PER_INSTANCE = """\
define command {
	command_name   check_each
	command_line   $USER1$/check_cluster_cpu -n '$_SERVICECLUSTER$' -f '$_SERVICECONFIG$' --perfdata-per-instance
}
define service {
	use                   cluster-cpu
	host_name             lb1
	service_description   each
	check_command         check_each
	_CLUSTER              web
	_CONFIG               %s
}
"""
PERFDATA = """\
process_performance_data=1
service_perfdata_file={0}
service_perfdata_file_template=$SERVICEDESC$ $SERVICEPERFDATA$
service_perfdata_file_mode=a
"""


def shipped(name=SHIPPED):
    """The file in this tree, or beside a copy of this directory."""
    places = [parent / name for parent in pathlib.Path(__file__).resolve().parents[1:3]]
    return next((path for path in places if path.exists()), places[0])


def installed():
    return shutil.which(PROGRAM) is not None


def blocks(text, kind):
    """The blocks of one kind in status.dat, as dictionaries."""
    for body in re.findall(rf"^{kind} {{\n(.*?)^\t}}", text, re.MULTILINE | re.DOTALL):
        yield dict(line.strip().partition("=")[::2] for line in body.splitlines())


class Nagios(threading.Thread):
    """The same to the demo as core.Core; the thread only looks what the core found."""

    title, log_holds = "Debian's nagios4", "what the core says: checks that changed, handlers"
    broken = "CRITICAL"  # the state for a check that could not be run or did not end

    def __init__(self, directory, plugins, on_result=lambda text, changed: None, *, config,
                 cluster="web", interval_s=1, retain=1, check_timeout=60, handler_timeout=30,
                 more="", more_objects=""):
        """`plugins` becomes $USER1$; `more` lines go into nagios.cfg, `more_objects` to ours."""
        super().__init__(daemon=True)
        self.dir, self.plugins, self.on_result = pathlib.Path(directory), plugins, on_result
        self.log_path, self.config = self.dir / "nagios.log", self.dir / "nagios.cfg"
        self.site = {"host": HOST, "service": SERVICE, "cluster": cluster.replace(";", "\\;"), "config": config,
                     "interval_s": interval_s, "more_objects": more_objects}
        self.main = {"dir": self.dir, "objects": DEBIAN_OBJECTS, "shipped": shipped(),
                     "user": os.geteuid(), "group": os.getegid(), "retain": retain,
                     "check_timeout": check_timeout, "handler_timeout": handler_timeout,
                     "more": more}
        self.stopping, self.child = threading.Event(), None
        self.state, self.text, self.load, self.checked = "PENDING", "", None, None

    @classmethod
    def per_instance(cls, path, config):
        """Options for a second service, `each`, with performance data for each server, written to PATH."""
        return {"more": PERFDATA.format(path), "more_objects": PER_INSTANCE % config}

    def write_files(self):
        (self.dir / "checkresults").mkdir(parents=True, exist_ok=True)
        self.config.write_text(NAGIOS_CFG.format(**self.main))
        (self.dir / "site.cfg").write_text(SITE_CFG.format(**self.site))
        (self.dir / "resource.cfg").write_text(f"$USER1$={self.plugins}\n")

    def start(self):
        self.write_files()
        self.start_core()
        super().start()

    def start_core(self):
        self.child = procs.spawn([PROGRAM, self.config], self.dir / "nagios.out")

    def stop_core(self):
        procs.end(self.child, 10)

    def run(self):
        while not self.stopping.wait(LOOK_EVERY_S) and self.child.poll() is None:
            self.look()

    def look(self):
        service = self.service()
        if not service or service["has_been_checked"] != "1":
            return
        if service["last_check"] == self.checked:
            return
        before, self.state = self.state, STATES[int(service["current_state"])]
        self.checked, self.text = service["last_check"], service["plugin_output"]
        load = re.search(r"\bload'?=([0-9.]+)", service["performance_data"])
        self.load = float(load[1]) if load else None
        self.on_result(self.text, self.state != before)

    def service(self):
        """What status.dat says of the cluster's service, None before there is any."""
        try:
            text = (self.dir / "status.dat").read_text(errors="replace")
        except OSError:
            return None
        found = blocks(text, "servicestatus")
        return next((block for block in found if block["service_description"] == SERVICE), None)

    def stop(self):
        self.stopping.set()
        if self.is_alive():
            self.join()
        if self.child:
            self.stop_core()

    def firings(self):
        """[(when, state)] of the core's runs of our event handler, oldest first."""
        return re.findall(rf"^\[(\d+)\] SERVICE EVENT HANDLER: {HOST};{SERVICE};(\w+);HARD;1;nova_scale\w*$",
                          self.lines(), re.MULTILINE)

    def fired(self):
        """The states for which the core ran our event handler, oldest first."""
        return [state for _, state in self.firings()]

    def story(self):
        """One line: what was fired, and how many seconds after the first firing."""
        told, last, first = [], None, None
        for when, state in self.firings():
            first = first or int(when)
            told += [state, f"{int(when) - first}"] if state != last else [f"{int(when) - first}"]
            last = state
        return "fired " + " ".join(told) + " s" if told else "nothing fired"

    def given_up(self):
        """How many checks and handlers the core ended because they took too long."""
        return self.lines().count("timed out")

    def lines(self):
        try:
            return self.log_path.read_text(errors="replace")
        except OSError:
            return ""

    @property
    def defects(self):
        return [f"{self.log_path}: {line}" for line in self.lines().splitlines()
                if TROUBLE.search(line)]
