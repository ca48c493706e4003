# SPDX-License-Identifier: GPL-3.0-or-later
"""check_cluster_cpu against a real snmpd by SNMP v1, v2c and v3 with every protocol, and against whoever meddles."""
import pathlib
import select
import socket
import subprocess
import sys
import threading

import pytest

FAKES = pathlib.Path(__file__).parents[1] / "fakes"
sys.path.insert(0, str(FAKES))
from cpu_plugin import PER_CPU, PROGRAM, SPAN_S, Plugin  # noqa: E402
from snmp_agent import COUNTERS  # noqa: E402
from snmpd import Snmpd  # noqa: E402

AUTH = ("MD5", "SHA", "SHA-224", "SHA-256", "SHA-384", "SHA-512")
PRIV = ("DES", "AES", "AES-192", "AES-256")
AUTH_PASSWORD, PRIV_PASSWORD = "Marker-auth-password", "Marker-priv-password"
LOAD = 370


def user_of(auth, priv):
    return f"u{auth}{priv}".replace("-", "")


def write_secret(folder, name, text):
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(text + "\n")
    return str(path)


def configuration(folder):
    busy = 2 * PER_CPU * LOAD // 1000
    lines = [f"{number} counter {dict(user=busy, idle=1 + 2 * PER_CPU - busy).get(name, 0)}"
             for name, number in COUNTERS.items()]
    (folder / "counters").write_text("\n".join(lines + ["67 integer 2", ""]))
    yield f"pass_persist .1.3.6.1.4.1.2021.11 /usr/bin/python3 {FAKES}/pass_counters.py {folder}/counters"
    for auth in AUTH:
        for priv in PRIV:
            yield f"createUser {user_of(auth, priv)} {auth} {AUTH_PASSWORD} {priv} {PRIV_PASSWORD}"
            yield f"rouser {user_of(auth, priv)} noauth"
    yield "createUser nobody"
    yield "rouser nobody noauth"


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    folder = tmp_path_factory.mktemp("snmpd")
    with Snmpd(folder, lines=list(configuration(folder)), options=["-I", "-vmstat"]) as snmpd:
        yield snmpd


class Check(Plugin):
    def __init__(self, folder):
        super().__init__(folder)
        self.auth = write_secret(folder, "auth", AUTH_PASSWORD)
        self.priv = write_secret(folder, "priv", PRIV_PASSWORD)
        self.bad = write_secret(folder, "bad", "another-password")
        self.engines = self.state / "engines"

    def only_baseline(self, agent):
        """Nothing else is known of it: no load that could stand while it is silent."""
        self.samples.unlink(missing_ok=True)
        self.baseline(agent)

    def v3(self, name, *words, user="uSHAAES", auth=None, priv=None, run_words=("-t", "4")):
        return self.run("-H", name, *run_words, "-P", "3", "-U", user, "--authpass-file", auth or self.auth,
                        "--privpass-file", priv or self.priv, *words)


@pytest.fixture
def check(tmp_path):
    return Check(tmp_path)


def sampled(name):
    return f"{name}: {LOAD / 10:.1f} %, 2 CPUs, over {SPAN_S} s"


def second_line(done):
    return done.stdout.splitlines()[1]


@pytest.mark.parametrize("version", ["1", "2c"])
def test_communities(check, agent, version):
    check.baseline(agent)
    done = check.run("-H", agent.name, "-P", version, "-C", "public")
    assert second_line(done) == sampled(agent.name)
    assert done.returncode == 0


@pytest.mark.parametrize("priv", PRIV)
@pytest.mark.parametrize("auth", AUTH)
def test_auth_priv_with_every_protocol(check, agent, auth, priv):
    check.baseline(agent)
    done = check.v3(agent.name, "-a", auth, "-x", priv, user=user_of(auth, priv))
    assert second_line(done) == sampled(agent.name)
    assert done.returncode == 0


@pytest.mark.parametrize("auth", AUTH)
def test_auth_no_priv_with_every_protocol(check, agent, auth):
    check.baseline(agent)
    done = check.run("-H", agent.name, "-P", "3", "-U", user_of(auth, "AES"), "-L", "authNoPriv", "-a", auth,
                     "--authpass-file", check.auth)
    assert second_line(done) == sampled(agent.name)


def test_no_auth_no_priv(check, agent):
    check.baseline(agent)
    done = check.run("-H", agent.name, "-P", "3", "-U", "nobody", "-L", "noAuthNoPriv")
    assert second_line(done) == sampled(agent.name)


@pytest.mark.parametrize("change, reason", [
    (dict(user="unknown"), "the agent refused: it does not know the user"),
    (dict(user="nobody"), "the agent refused: not at this security level"),
    (dict(auth="bad"), "the agent refused: wrong authentication password or protocol"),
    (dict(priv="bad"), "no answer (address, port, firewall, context or privacy password?)"),
])
def test_what_an_agent_refuses_has_its_reason(check, agent, change, reason):
    done = check.v3(agent.name, **{key: getattr(check, value, value) for key, value in change.items()})
    assert second_line(done) == f"{agent.name}: missing: {reason}"
    assert done.returncode == 3


@pytest.mark.parametrize("words, message", [
    (["-P", "4"], "option --protocol: expected one of 2c, 1, 3"),
    (["-P", "3", "-L", "high"], "option --seclevel: expected one of noAuthNoPriv, authNoPriv, authPriv"),
    (["-P", "3", "-C", "public"],
     "SNMP v3 has no community: give --secname USER and files of passwords; see --help"),
    (["-U", "user"], "--secname belongs to SNMP v3: give --protocol 3, too; see --help"),
    (["-P", "3", "-U", "user"], "no authentication password of SNMPv3: the key auth-password-file (--authpass-file) is missing"),
])
def test_what_does_not_fit_together_is_refused(check, words, message):
    done = check.run("-H", "127.0.0.1:9", *words)
    assert done.stdout == f"CLUSTER CPU UNKNOWN - {message}\n"
    assert done.returncode == 3


def test_protocols_and_passwords_are_checked(check):
    done = check.v3("127.0.0.1:9", "-a", "ROT13")
    assert done.stdout == ("CLUSTER CPU UNKNOWN - SNMPv3 authentication protocol 'ROT13': give one of "
                           "MD5, SHA, SHA-224, SHA-256, SHA-384, SHA-512\n")
    done = check.v3("127.0.0.1:9", priv=write_secret(check.folder, "short", "1234567"))
    assert done.stdout == ("CLUSTER CPU UNKNOWN - the privacy password of SNMPv3 user 'uSHAAES' is shorter than 8 "
                           "characters, which agents refuse (RFC 3414)\n")


def test_passwords_appear_nowhere(check, agent):
    done = check.v3(agent.name, "-vvv")
    files = [path.read_text() for path in check.state.iterdir() if path.is_file()]
    assert not [text for text in [done.stdout, *files] if "Marker" in text]


class Meddler:
    """Stands between the plugin and an agent. `meddle(n, reply) -> [replies]` for the nth reply, from 0."""

    def __init__(self, agent):
        host, port = agent.name.split(":")
        self.agent = (host, int(port))
        self.meddle = lambda n, reply: [reply]
        self.requests, self.replies = [], []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.name = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.socket.close()

    def serve(self):
        client = None
        while not self.stop.is_set():
            if not select.select([self.socket], [], [], 0.05)[0]:
                continue
            data, sender = self.socket.recvfrom(65536)
            if sender == self.agent:
                replies = self.meddle(len(self.replies), data)
                self.replies.append(data)
                for reply in replies:
                    self.socket.sendto(reply, client)
            else:
                client = sender
                self.requests.append(data)
                self.socket.sendto(data, self.agent)


@pytest.fixture
def meddler(agent):
    with Meddler(agent) as meddler:
        yield meddler


def test_engines_are_remembered_and_found_anew(check, meddler):
    check.baseline(meddler)
    assert second_line(check.v3(meddler.name)) == sampled(meddler.name)
    assert len(meddler.requests) >= 2, "one to find the engine, one to ask"
    first = check.engines.read_text()
    meddler.requests.clear()
    check.v3(meddler.name)
    assert not [request for request in meddler.requests if b"uSHAAES" not in request]
    address, port, engine, boots, at, wall = first.split()
    for stale in ((engine, boots, str(int(at) + 9000)), (engine, str(int(boots) + 7), at), (engine, boots, "0"),
                  ("8000000001020304", boots, at)):
        check.engines.write_text(" ".join((address, port, *stale, wall)) + "\n")
        assert sampled(meddler.name) == second_line(check.v3(meddler.name)), stale
    check.engines.write_text("junk\n\0\n" + " ".join((address, port, "zz", boots, at, wall)) + "\n")
    assert sampled(meddler.name) == second_line(check.v3(meddler.name))


UNPROVED = "missing: the answer does not prove its origin (digest, time, user or level), not taken"


def flip(reply, at):
    return reply[:at] + bytes([reply[at] ^ 1]) + reply[at + 1:]


@pytest.mark.parametrize("where", [-1, -40], ids=["scoped PDU", "inside"])
def test_a_tampered_reply_is_not_taken(check, meddler, where):
    check.baseline(meddler)
    meddler.meddle = lambda n, reply: [reply] if n == 0 else [flip(reply, where)]
    assert second_line(check.v3(meddler.name)) == f"{meddler.name}: {UNPROVED}"


def test_a_reply_of_lower_level_is_not_taken(check, agent, meddler):
    """A Response that claims our message but is neither signed nor encrypted."""
    check.baseline(meddler)
    check.run("-H", meddler.name, "-P", "3", "-U", "nobody", "-L", "noAuthNoPriv", "-t", "2")
    plain = meddler.replies[-1]

    def forge(n, reply):
        if n == 0:
            return [reply]
        at, own = plain.index(b"\x02\x04"), reply.index(b"\x02\x04")
        return [plain[:at + 2] + reply[own + 2:own + 6] + plain[at + 6:]]

    meddler.replies.clear()
    meddler.meddle = forge
    check.engines.unlink()
    check.only_baseline(meddler)
    done = check.v3(meddler.name)
    assert second_line(done) == f"{meddler.name}: {UNPROVED}"


def test_a_replay_is_not_taken_and_a_duplicate_does_no_harm(check, meddler):
    check.baseline(meddler)
    check.v3(meddler.name)
    old = meddler.replies[-1]
    check.only_baseline(meddler)
    meddler.meddle = lambda n, reply: [old]
    done = check.v3(meddler.name)
    assert "missing: answered with another request id" in second_line(done)
    check.only_baseline(meddler)
    meddler.meddle = lambda n, reply: [old, reply, reply, reply]
    assert second_line(check.v3(meddler.name)) == sampled(meddler.name)


def test_a_storm_of_replies_does_no_harm(check, meddler):
    check.baseline(meddler)
    meddler.meddle = lambda n, reply: [flip(reply, -1)] * 2000 + [reply] * 2000
    assert second_line(check.v3(meddler.name)) == sampled(meddler.name)


def test_names_are_looked_up_beside_each_other(check, agent):
    port = agent.name.split(":")[1]
    check.baseline(f"localhost:{port}")
    done = check.run("-C", "public", "-H", f"localhost:{port}", "-H", "no-such-name.invalid", "-t", "8")
    assert done.stdout.splitlines()[1] == sampled(f"localhost:{port}")
    assert "no-such-name.invalid: missing: cannot resolve 'no-such-name.invalid': " in done.stdout


def test_few_descriptors_suffice(check, agent):
    host, port = agent.name.split(":")
    (check.folder / "hosts").write_text("".join(f"127.0.{1 + n // 250}.{1 + n % 250}:{port}\n" for n in range(1500)))
    done = subprocess.run(["sh", "-c", 'ulimit -n 16; exec "$@"', "sh", PROGRAM, "-C", "public", "-t", "4", "--hosts",
                           check.folder / "hosts"], env=check.environment, capture_output=True, text=True, timeout=60)
    assert "1500 missing" in done.stdout
    assert "Connection refused" in done.stdout
