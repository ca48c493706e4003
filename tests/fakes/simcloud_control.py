"""Fault injection and the request log of the simulated cloud.

The endpoints under /_sim are listed at the top of simcloud.py.
"""

import collections
import dataclasses
import json
import re
import time

from simcloud_http import HTML, JSON, Reply, json_reply

ENDINGS = {"drop": "drop", "lose": "drop", "truncate": "cut"}


@dataclasses.dataclass
class Fault:
    """What happens to the next `count` requests that match, after `skip` of them.

    action: status    answer STATUS with BODY (a JSON value, or text sent as HTML)
                      and HEADERS; the request is not handled
            drop      close the connection; the request is not handled
            lose      handle the request, then close without an answer
            truncate  handle the request, send half of the body, then close
            empty     answer an empty list of servers
            delay     handle the request after DELAY seconds
    DELAY seconds pass before any other action too.
    """

    method: str = ".*"
    path: str = ""  # regular expression, found anywhere in path?query
    action: str = "status"
    count: int = 1
    skip: int = 0
    delay: float = 0
    status: int = 503
    body: object = None
    headers: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if self.action not in ("status", "empty", "delay", *ENDINGS):
            raise ValueError(f"no such action: {self.action}")
        re.compile(self.method), re.compile(self.path)

    def matches(self, request):
        return (self.count > 0 and re.fullmatch(self.method, request.method)
                and re.search(self.path, request.target))

    def reply(self, handle, request):
        """The answer under this fault; HANDLE serves the request for real."""
        time.sleep(self.delay)
        if self.action == "status":
            return self._refusal(request)
        if self.action == "drop":
            return Reply(0, ending="drop")
        reply = handle(request)
        if self.action == "empty":
            reply.body = b'{"servers": []}'
        reply.ending = ENDINGS.get(self.action, "keep")
        return reply

    def _refusal(self, request):
        asked = request.headers.get("openstack-api-version")
        headers = list({**({"OpenStack-API-Version": asked} if asked else {}), **self.headers}.items())
        if isinstance(self.body, str):
            return Reply(self.status, self.body.encode(), HTML, headers)
        body = self.body or {"computeFault": {"code": self.status, "message": "Injected fault"}}
        return Reply(self.status, json.dumps(body).encode(), JSON, headers)


class Control:
    def __init__(self, cloud, log_file=None):
        self.cloud = cloud
        self.faults = []
        self.requests = collections.deque(maxlen=100000)
        self.log_file = log_file

    def inject(self, **fault):
        """Adds a Fault; the first one that matches a request applies."""
        with self.cloud.lock:
            self.faults.append(Fault(**fault))
            return self.faults[-1]

    def pick(self, request):
        """The fault that applies to REQUEST, counted down; None when there is none."""
        with self.cloud.lock:
            for fault in self.faults:
                if fault.matches(request):
                    if fault.skip > 0:
                        fault.skip -= 1
                        continue
                    fault.count -= 1
                    return fault
        return None

    def log(self, request, reply, started):
        """Keeps what was asked; headers and body as they came, secrets included."""
        self.requests.append({
            "time": started, "seconds": time.time() - started, "method": request.method,
            "path": request.target, "headers": request.headers,
            "body": request.body.decode(errors="replace"), "status": reply.status})
        if self.log_file:
            stamp = time.strftime("%H:%M:%S", time.localtime(started))
            print(f"{stamp}.{int(started % 1 * 1000):03d} {reply.status or 'dropped'} "
                  f"{request.method} {request.target}", file=self.log_file, flush=True)

    def seen(self, method=".*", path=""):
        """The logged requests whose method and path?query match."""
        return [r for r in list(self.requests)
                if re.fullmatch(method, r["method"]) and re.search(path, r["path"])]

    # The endpoint

    def handle(self, request):
        kind, _, name = request.path.strip("/").partition("/")
        action = getattr(self, f"_{request.method.lower()}_{kind.replace('-', '_')}", None)
        try:
            given = json.loads(request.body) if request.body else {}
            if not action:
                return json_reply(404, {"error": f"no {request.method} /_sim/{kind}"})
            return json_reply(200, action(request, name, given))
        except (KeyError, TypeError, ValueError, re.error) as error:
            return json_reply(400, {"error": f"{type(error).__name__}: {error}"})

    def _get_requests(self, request, name, given):
        return {"requests": self.seen(request.arg("method", ".*"), request.arg("path", ""))}

    def _delete_requests(self, request, name, given):
        self.requests.clear()
        return {}

    def _get_faults(self, request, name, given):
        return {"faults": [dataclasses.asdict(f) for f in self.faults]}

    def _post_faults(self, request, name, given):
        return dataclasses.asdict(self.inject(**given))

    def _delete_faults(self, request, name, given):
        self.faults.clear()
        self.cloud.lifecycle.build_plans.clear()
        self.cloud.lifecycle.delete_plans.clear()
        self.cloud.down.clear()
        return {}

    def _post_builds(self, request, name, given):
        self.cloud.lifecycle.plan_builds(**given)
        return {}

    def _post_deletes(self, request, name, given):
        self.cloud.lifecycle.plan_deletes(**given)
        return {}

    def _put_down(self, request, name, given):
        self.cloud.down = set(given["services"])
        return {"services": sorted(self.cloud.down)}

    def _put_quota(self, request, name, given):
        self.cloud.quota.update(given)
        return self.cloud.quota

    def _delete_tokens(self, request, name, given):
        self.cloud.keystone.expire_tokens()
        return {}

    def _post_images(self, request, name, given):
        return dataclasses.asdict(self.cloud.add_image(**given))

    def _put_images(self, request, name, given):
        image = self.cloud.images[name]
        for field, value in given.items():
            setattr(image, field, value)
        return dataclasses.asdict(image)

    def _delete_images(self, request, name, given):
        del self.cloud.images[name]
        return {}

    def _get_servers(self, request, name, given):
        with self.cloud.lock:
            return {"servers": [s.summary() for s in self.cloud.servers.values()]}

    def _post_servers(self, request, name, given):
        count = given.pop("count", 1)
        return {"servers": [self.cloud.add_server(**given).summary() for _ in range(count)]}

    def _put_servers(self, request, name, given):
        return self.cloud.change_server(name, **given).summary()

    def _delete_servers(self, request, name, given):
        self.cloud.lifecycle.forget(self.cloud.servers[name])
        return {}
