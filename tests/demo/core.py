# SPDX-License-Identifier: GPL-3.0-or-later
"""The monitoring core's part: runs a check at an interval, fires an event handler on its results.

As Nagios does for a service with `is_volatile 1` and `max_check_attempts 1`: every result that is
not OK fires, OK after something else fires once, OK after OK fires nothing. The handler gets its
own pipes, session and the poor environment of a daemon, and 30 s until its process group is
killed. It detaches its work, so a firing is over at once; a child that holds the handler's pipes
open would block a real core, and is counted as a defect.
"""
import os
import re
import select
import signal
import subprocess
import threading
import time

STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
}  # what systemd gives a service
CHECK_TIMEOUT_S, HANDLER_TIMEOUT_S, PIPE_PATIENCE_S = 60, 30, 1.0


def run(argv, timeout_s):
    """(exit code, stdout, stderr, its pipes are closed) once a command's first process ended.

    The exit code is negative when a signal ended it, as after TIMEOUT_S.
    """
    child = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/tmp",
        env=ENVIRONMENT,
        start_new_session=True,
    )
    outputs = []
    reader = threading.Thread(target=lambda: outputs.extend(child.communicate()), daemon=True)
    exited = os.pidfd_open(child.pid)
    try:
        reader.start()
        if not select.select([exited], [], [], timeout_s)[0]:
            os.killpg(child.pid, signal.SIGKILL)
    finally:
        os.close(exited)
    reader.join(PIPE_PATIENCE_S)
    if reader.is_alive():
        return child.wait(), "", "", False
    return child.returncode, outputs[0].decode(), outputs[1].decode(), True


class Core(threading.Thread):
    title, log_holds = "a small loop", "what each check and each handler printed"

    def __init__(self, check, handler, interval_s, log_path, on_result):
        """CHECK and HANDLER are commands; `on_result(text, changed)` hears of each check."""
        super().__init__(daemon=True)
        self.check, self.handler, self.interval_s = check, handler, interval_s
        self.on_result = on_result
        self.log_path, self.log = log_path, open(log_path, "w", buffering=1)
        self.stopping = threading.Event()
        self.state, self.text, self.load = "PENDING", "", None
        self.defects, self.states_fired = [], []

    def run(self):
        due = time.monotonic()
        while not self.stopping.wait(max(0, due - time.monotonic())):
            due = max(due + self.interval_s, time.monotonic())
            self.check_once()

    def stop(self):
        self.stopping.set()
        if self.is_alive():
            self.join()
        self.log.close()

    def check_once(self):
        code, out, err, closed = run(self.check, CHECK_TIMEOUT_S)
        # Nagios calls every code it does not know critical
        state = STATES[code] if 0 <= code < len(STATES) else "CRITICAL"
        line = out.partition("\n")[0]
        self.note("check", code, out, err)
        if err or not closed or not line:
            self.defects.append(
                f"the check wrote to stderr, wrote nothing or kept its pipes: "
                f"{(err or line)[-200:]!r}"
            )
        self.text, perfdata = (part.strip() for part in (line + "|").split("|")[:2])
        load = re.search(r"\bload'?=([0-9.]+)", perfdata)
        self.load = float(load[1]) if load else None
        before, self.state = self.state, state
        self.on_result(self.text, state != before)
        fires = state != "OK" or before not in ("OK", "PENDING")
        if fires and not self.stopping.is_set():
            self.fire(state)

    def fired(self):
        """The states for which the handler was run, oldest first."""
        return self.states_fired

    def fire(self, state):
        self.states_fired.append(state)
        code, out, err, closed = run(
            [*self.handler, "--state", state, "--state-type", "HARD", "--attempt", "1"],
            HANDLER_TIMEOUT_S,
        )
        self.note(f"handler for {state}", code, out, err)
        if not closed:
            self.defects.append(
                "the handler's child kept the handler's output open: a real core would block"
            )
        if code < 0:
            self.defects.append(f"the handler was still there after {HANDLER_TIMEOUT_S} s")

    def note(self, what, code, out, err):
        for text in (out + err).splitlines() or ["(no output)"]:
            self.log.write(f"{time.strftime('%H:%M:%S')} {what}, exit {code}: {text}\n")
