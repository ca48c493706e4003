#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scripted SNMP v1 and v2c agent: answers GET, GETNEXT and GETBULK with the values it is given, and misbehaves on request.

    with Agent(cpu(user=100, idle=900)) as agent:
        agent.behave = lambda n, reply: [] if n == 0 else [reply]   # loses the first request
        ... agent.port, agent.requests

BER by hand (X.690), as far as GET and its answers need it; RFC 3416.
"""
import select
import socket
import threading
import time

COUNTER32, GAUGE32, TIMETICKS = 0x41, 0x42, 0x43
NO_SUCH_OBJECT, END_OF_MIB_VIEW = 0x80, 0x82
GET, GETNEXT, RESPONSE, GETBULK = 0xA0, 0xA1, 0xA2, 0xA5
NO_SUCH_NAME = 2  # error-status of v1

UCD_CPU = "1.3.6.1.4.1.2021.11"
COUNTERS = {"user": 50, "nice": 51, "system": 52, "idle": 53, "wait": 54, "kernel": 55,
            "interrupt": 56, "softirq": 61, "steal": 64}
CPUS = f"{UCD_CPU}.67.0"
UPTIME = "1.3.6.1.2.1.25.1.1.0"
PROCESSOR_LOAD = "1.3.6.1.2.1.25.3.3.1.2"


def cpu(cpus=2, uptime_s=None, **ticks):
    """The objects of an agent: counters not named are 0, as on Linux. `uptime_s` defaults to this machine's."""
    objects = {f"{UCD_CPU}.{number}.0": (COUNTER32, ticks.get(name, 0)) for name, number in COUNTERS.items()}
    if uptime_s is None:
        uptime_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    return objects | {CPUS: (0x02, cpus), UPTIME: (TIMETICKS, int(uptime_s * 100))}


def processors(*percents, first=196608):
    """The objects of an agent that has hrProcessorLoad alone; 196608 is where that of Linux begins."""
    return {f"{PROCESSOR_LOAD}.{first + i}": (0x02, percent) for i, percent in enumerate(percents)} | {
        "1.3.6.1.2.1.25.3.4.1.1.1": (0x02, 0)}


def tlv(tag, body):
    length = bytes([len(body)]) if len(body) < 128 else bytes([0x82]) + len(body).to_bytes(2, "big")
    return bytes([tag]) + length + body


def integer(tag, number):
    return tlv(tag, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))


def encode_oid(text):
    first, second, *rest = map(int, text.split("."))
    body = bytearray([first * 40 + second])
    for arc in rest:
        septets = [arc & 127]
        while arc := arc >> 7:
            septets.insert(0, 128 | arc & 127)
        body += bytes(septets)
    return tlv(0x06, bytes(body))


def split(data):
    """(tag, body, rest) of the first element."""
    length, at = data[1], 2
    if length & 128:
        at += length & 127
        length = int.from_bytes(data[2:at], "big")
    return data[0], data[at:at + length], data[at + length:]


def decode_oid(body):
    arcs, arc = [body[0] // 40, body[0] % 40], 0
    for byte in body[1:]:
        arc = arc << 7 | byte & 127
        if not byte & 128:
            arcs.append(arc)
            arc = 0
    return ".".join(map(str, arcs))


def decode_request(data):
    """(version, community, request id, [oid], rows) of a GET, whose rows are 0, a GETNEXT, or a GETBULK."""
    _, message, _ = split(data)
    _, version, rest = split(message)
    _, community, rest = split(rest)
    tag, pdu, _ = split(rest)
    assert tag in (GET, GETNEXT, GETBULK), f"PDU type {tag:#x}"
    _, request_id, rest = split(pdu)
    _, _, rest = split(rest)
    _, repetitions, rest = split(rest)
    _, bindings, _ = split(rest)
    oids = []
    while bindings:
        _, binding, bindings = split(bindings)
        oids.append(decode_oid(split(binding)[1]))
    rows = {GET: 0, GETNEXT: 1, GETBULK: int.from_bytes(repetitions, "big")}[tag]
    return version[0], community, int.from_bytes(request_id, "big"), oids, rows


def rows_behind(oid, objects, rows):
    """What a GETBULK of one object is answered with."""
    def arcs(text):
        return [int(arc) for arc in text.split(".")]
    behind = sorted((each for each in objects if arcs(each) > arcs(oid)), key=arcs)[:rows]
    return behind if behind else [oid]


def encode_response(version, community, request_id, oids, objects, error_status=0, absent=NO_SUCH_OBJECT):
    lacking = [oid for oid in oids if oid not in objects]
    error_index = 0
    if version == 0 and lacking:  # RFC 1157, 4.1: it refuses all for one that it lacks
        error_status, error_index = NO_SUCH_NAME, oids.index(lacking[0]) + 1
    bindings = b""
    for oid in oids:
        tag, number = objects.get(oid, (absent if version else 0x05, None))
        value = tlv(tag, b"") if number is None else integer(tag, number)
        bindings += tlv(0x30, encode_oid(oid) + value)
    pdu = (integer(0x02, request_id) + integer(0x02, error_status) + integer(0x02, error_index) +
           tlv(0x30, bindings))
    return tlv(0x30, integer(0x02, version) + tlv(0x04, community) + tlv(RESPONSE, pdu))


class Agent:
    """Serves on `port`, or a free one, of `host` in a thread of its own.

    objects        {oid: (tag, number)}, or a function that returns that
    delay          seconds before each answer
    error_status   of every answer
    behave(n, reply) -> [packets]: what is sent for the nth request (from 0) instead of [reply]
    foreign        answers come from another port
    edit_oids(oids) -> oids, wrong_id (added): what the answer says it answers
    """

    def __init__(self, objects, community=b"public", host="127.0.0.1", port=0):
        self.objects, self.community = objects, community
        self.delay = self.error_status = self.wrong_id = 0
        self.foreign = False
        self.behave = lambda n, reply: [reply]
        self.edit_oids = lambda oids: oids
        self.requests = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((host, port))
        self.other = socket.socket(family, socket.SOCK_DGRAM)
        self.port = self.socket.getsockname()[1]
        self.name = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.socket.close()
        self.other.close()

    def serve(self):
        while not self.stop.is_set():
            if select.select([self.socket], [], [], 0.05)[0]:
                self.answer(*self.socket.recvfrom(65536))

    def answer(self, data, client):
        version, community, request_id, oids, rows = decode_request(data)
        n = len(self.requests)
        self.requests.append((community, request_id, oids))
        if community != self.community:
            return
        objects = self.objects() if callable(self.objects) else self.objects
        if rows:
            asked, oids = oids, rows_behind(*oids, objects, rows)
            if version == 0 and oids == asked:  # the view ends; v1 has no other word for it
                objects = {}
        reply = encode_response(version, community, request_id + self.wrong_id, self.edit_oids(oids), objects,
                                self.error_status, END_OF_MIB_VIEW if rows else NO_SUCH_OBJECT)
        if self.stop.wait(self.delay):
            return
        for packet in self.behave(n, reply):
            (self.other if self.foreign else self.socket).sendto(packet, client)
