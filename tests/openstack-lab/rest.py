# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to the lab's services, as one user."""
import json
import time
import urllib.error
import urllib.request

from settings import DOMAIN


class Refused(Exception):
    def __init__(self, method, url, status, body):
        super().__init__(f"{method} {url}: {status} {body[:400]}")
        self.status, self.body = status, body


class Cloud:
    """`microversion` is Nova's."""

    def __init__(self, place, user, password, project, microversion="2.90"):
        self.place, self.user, self.password, self.project = place, user, password, project
        self.microversion, self.token = microversion, None

    def auth(self):
        domain = {"name": DOMAIN}
        return {"identity": {"methods": ["password"], "password": {"user": {
            "name": self.user, "domain": domain, "password": self.password}}},
            "scope": {"project": {"name": self.project, "domain": domain}}}

    def login(self):
        """A new token; its text."""
        _, headers, body = self.send("POST", self.place.url("keystone") + "/auth/tokens", {"auth": self.auth()})
        self.token = headers["X-Subject-Token"]
        self.user_id, self.project_id = body["token"]["user"]["id"], body["token"]["project"]["id"]
        self.expires = time.monotonic() + 600
        return self.token

    def send(self, method, url, body=None, headers={}):
        """(status, headers, body as JSON, text or None); Refused when it is no success."""
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"} | headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                text = reply.read()
                is_json = "json" in reply.headers.get("Content-Type", "")
                return reply.status, reply.headers, json.loads(text) if text and is_json else text or None
        except urllib.error.HTTPError as error:
            raise Refused(method, url, error.code, error.read().decode(errors="replace")) from None

    def ask(self, method, service, path, body=None, headers={}):
        """The body of the reply."""
        if not self.token or time.monotonic() > self.expires:
            self.login()
        own = {"X-Auth-Token": self.token}
        if service == "nova":
            own["OpenStack-API-Version"] = f"compute {self.microversion}"
        try:
            return self.send(method, self.place.url(service) + path, body, own | headers)[2]
        except Refused as error:
            if error.status != 401:
                raise
            self.login()
            return self.send(method, self.place.url(service) + path, body, own | {"X-Auth-Token": self.token} | headers)[2]

    def is_refused(self, token, service, path):
        """Does SERVICE answer 401 to another TOKEN?"""
        try:
            self.send("GET", self.place.url(service) + path, headers={"X-Auth-Token": token})
            return False
        except Refused as error:
            return error.status == 401

    def get(self, service, path):
        return self.ask("GET", service, path)

    def post(self, service, path, body):
        return self.ask("POST", service, path, body)
