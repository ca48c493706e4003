# SPDX-License-Identifier: GPL-3.0-or-later
"""What really happens to the servers, seen in the cloud and in the running HAProxy only.

The verdict of the demo rests on this, not on what the programs under test say of themselves.
"""
import dataclasses
import threading

INTERVAL_S = 0.1
DRAINING = "clusterscale.draining"
STEPS = ("asked", "active", "serving", "draining", "out", "gone")


@dataclasses.dataclass
class Life:
    """One server; each step holds the time when it was first seen, None before."""

    name: str
    address: str | None = None
    asked: float | None = None  # the cloud has it
    active: float | None = None  # ACTIVE in the cloud
    serving: float | None = None  # UP in the running HAProxy
    draining: float | None = None  # marked in the cloud, or in drain or maintenance in HAProxy
    out: float | None = None  # no longer in the running HAProxy
    gone: float | None = None  # no longer in the cloud
    sessions: int = 0  # that HAProxy has with it now


class Watch(threading.Thread):
    def __init__(self, cloud, proxy, story, on_step):
        """`on_step(life, step)` hears of each step of each server, in the watching thread."""
        super().__init__(daemon=True)
        self.cloud, self.proxy, self.story, self.on_step = cloud, proxy, story, on_step
        self.lives = {}  # id -> Life, oldest first
        self.up = []  # names that are UP in HAProxy
        self.peak = 0
        self.strangers = []  # names that HAProxy has and the cloud has not
        self.violations = []
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.wait(INTERVAL_S):
            self.look()

    def stop(self):
        self.stopping.set()
        if self.is_alive():
            self.join()

    def look(self):
        seen = self.cloud.seen()
        try:
            # What is in maintenance is out: below 3.0 HAProxy keeps it so until a reload.
            rows = {key: row for key, row in self.rows().items() if row["status"] != "MAINT"}
        except OSError:
            rows = None  # between two workers; the next look will tell
        for id, summary in seen.items():
            life = self.lives.setdefault(id, Life(summary["name"]))
            self.step(life, "asked")
            self.look_at(life, summary, rows)
        for life in (self.lives[id] for id in self.lives.keys() - seen.keys()):
            self.step(life, "gone")
            if rows is not None and life.serving and not status(life, rows):
                self.step(life, "out")
        if rows is not None:
            self.up = [life.name for life in self.alive() if status(life, rows).startswith("UP")]
            self.peak = max(self.peak, len(self.up))
            self.strangers = sorted(
                {name for name, _ in rows} - {life.name for life in self.alive()}
            )

    def rows(self):
        """{(name, address): row} of the running HAProxy."""
        return {
            (name, row["address"].rpartition(":")[0]): row
            for name, row in self.proxy.servers().items()
        }

    def look_at(self, life, summary, rows):
        life.address = summary["address"] or life.address
        if summary["status"] == "ACTIVE":
            self.step(life, "active")
        if DRAINING in summary["metadata"]:
            self.step(life, "draining")
        if rows is None:
            return
        life.sessions = rows.get((life.name, life.address), {}).get("sessions", 0)
        now = status(life, rows)
        if now.startswith("UP"):
            self.step(life, "serving")
        elif now.startswith("DRAIN") and life.serving:
            self.step(life, "draining")
        elif not now and life.serving:
            self.step(life, "out")

    def step(self, life, name):
        if getattr(life, name) is None:
            setattr(life, name, self.story.now())
            self.on_step(life, name)

    def alive(self):
        return [life for life in list(self.lives.values()) if life.gone is None]

    def at_rest(self, size):
        """Nothing is under way, and the cloud and the running HAProxy have the same SIZE servers,
        all serving.
        """
        alive = self.alive()
        return (
            len(alive) == len(self.up) == size
            and not self.strangers
            and all(life.serving and life.draining is None and life.out is None for life in alive)
        )

    def is_deleted(self, name, address):
        """The cloud deletes a server at this moment: HAProxy must not be sending requests to it any
        more.
        """
        try:
            row = self.rows().get((name, address))
        except OSError as error:
            self.violations.append(f"HAProxy did not answer while {name} was deleted: {error}")
            return
        if row and (row["status"].startswith("UP") or row["sessions"]):
            self.violations.append(
                f"{name} was deleted while HAProxy had it {row['status']} with "
                f"{row['sessions']} sessions"
            )

    def table(self):
        """The lives of the servers as lines of text."""
        yield "server".ljust(16) + "".join(step.rjust(10) for step in STEPS)
        for life in self.lives.values():
            times = (getattr(life, step) for step in STEPS)
            yield life.name.ljust(16) + "".join(
                ("-" if t is None else clock(t)).rjust(10) for t in times
            )


def status(life, rows):
    """What HAProxy says of a server, "" when it does not have it."""
    return rows.get((life.name, life.address), {"status": ""})["status"]


def clock(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
