"""Keystone v3 of the simulated cloud: tokens, catalogue, versions; on request Identity v2.0.

It also plays an identity provider (OpenID Connect, below /idp) that it trusts, of which Keystone knows
under the name PROVIDER with the protocol PROTOCOL. What these two and v2.0 answer follows their
specifications; there is no recording of them.
"""

import base64
import dataclasses
import time
import uuid

from urllib.parse import parse_qs, unquote

from simcloud_http import Reply, iso_time, json_reply, request_id

DOMAIN = {"id": "default", "name": "Default"}
UNAUTHORIZED = "The request you have made requires authentication."
MALFORMED = ("The server could not comply with the request since it is either malformed or "
             "otherwise incorrect. The client is assumed to be in error.")
PROVIDER, PROTOCOL = "campus", "openid"
TITLES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}
SERVICES = (("placement", "placement", "placement"), ("image", "glance", "image"),
            ("network", "neutron", "networking"), ("compute", "nova", "compute/v2.1"),
            ("identity", "keystone", "identity/v3"))


@dataclasses.dataclass
class Project:
    name: str
    id: str


@dataclasses.dataclass
class User:
    """A user; `roles` maps a project's name to the names of the roles there."""

    name: str
    password: str
    roles: dict
    id: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex)


@dataclasses.dataclass
class AppCredential:
    user: User
    project: Project
    name: str
    secret: str
    roles: list
    id: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex)
    expires_at: float | None = None


@dataclasses.dataclass
class Token:
    user: User
    project: Project | None
    roles: list
    methods: list
    issued_at: float
    expires_at: float
    credential: AppCredential | None = None
    audit_id: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex[:22])

    @property
    def is_admin(self):
        return "admin" in self.roles

    @property
    def may_write(self):
        return self.is_admin or "member" in self.roles


class KeystoneError(Exception):
    def __init__(self, code, message, **extra):
        super().__init__(message)
        self.code = code
        self.body = {"error": {"code": code, "message": message, "title": TITLES[code], **extra}}


def by_id(row):
    """Keystone's order, which is chance to a client: ids are random."""
    return row["id"]


class Keystone:
    def __init__(self, url, token_lifetime):
        """`url`: root URL of the cloud; `token_lifetime`: seconds."""
        self.url = url
        self.auth_url = f"{url}/identity/v3"
        self.token_lifetime = token_lifetime
        self.projects, self.users, self.credentials, self.tokens = {}, {}, {}, {}
        self.role_ids = {}
        self.has_v2 = False
        self.token_mark = ""  # within every token, to look for
        self.anonymous = None  # the Token of who sends none: a cloud without Keystone
        self.clients = {}  # of the identity provider: id -> (secret, name of the user)
        self.access_tokens = {}  # value -> name of the user
        self.catalog = sorted((self._service(*service) for service in SERVICES), key=by_id)

    def _service(self, kind, name, path):
        endpoints = [{"id": uuid.uuid4().hex, "interface": interface, "region_id": "RegionOne",
                      "url": f"{self.url}/{path}", "region": "RegionOne"}
                     for interface in ("internal", "public", "admin")]
        return {"endpoints": sorted(endpoints, key=by_id), "id": uuid.uuid4().hex,
                "type": kind, "name": name}

    def add_project(self, name, id=None):
        self.projects[name] = Project(name, id or uuid.uuid4().hex)
        return self.projects[name]

    def add_user(self, name, password, roles, id=None):
        user = User(name, password, roles, id or uuid.uuid4().hex)
        self.users[name] = user
        return user

    def add_credential(self, user, project, name, secret, roles, id=None, expires_at=None):
        credential = AppCredential(self.users[user], self.projects[project], name, secret, roles,
                                   id or uuid.uuid4().hex, expires_at)
        self.credentials[credential.id] = credential
        return credential

    def challenge(self):
        return ("WWW-Authenticate", f'Keystone uri="{self.auth_url}"')

    def token(self, value):
        """The valid token of that value, or None."""
        token = self.tokens.get(value) if value else self.anonymous
        return token if token and token.expires_at > time.time() else None

    def expire_tokens(self):
        self.tokens.clear()

    def handle(self, request):
        try:
            reply = self._route(request)
        except KeystoneError as error:
            headers = [self.challenge()] if error.code == 401 else []
            reply = json_reply(error.code, error.body, headers)
        reply.headers += [("Vary", "X-Auth-Token"), ("x-openstack-request-id", request_id())]
        return reply

    def _route(self, request):
        path = request.path.rstrip("/")
        if request.method == "GET" and path in ("", "/v3"):
            return self._versions(path)
        if path == "/v3/auth/tokens":
            action = {"POST": self._issue, "GET": self._validate, "HEAD": self._validate,
                      "DELETE": self._revoke}.get(request.method)
            if action:
                return action(request)
        if path == "/v3/auth/catalog" and request.method == "GET":
            self._caller(request)
            return json_reply(200, {"catalog": self.catalog,
                                    "links": {"self": f"{self.auth_url}/auth/catalog"}})
        if path == f"/v3/OS-FEDERATION/identity_providers/{PROVIDER}/protocols/{PROTOCOL}/auth":
            return self._federate(request)
        if path == "/v2.0/tokens" and request.method == "POST" and self.has_v2:
            return self._issue_v2(request)
        return Reply(404, b"<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n"
                     b"<h1>Not Found</h1>\n<p>The requested URL was not found on the server. If "
                     b"you entered the URL manually please check your spelling and try again."
                     b"</p>\n", "text/html; charset=utf-8")

    def _versions(self, path):
        version = {"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z",
                   "links": [{"rel": "self", "href": f"{self.auth_url}/"}],
                   "media-types": [{"base": "application/json",
                                    "type": "application/vnd.openstack.identity-v3+json"}]}
        if path == "/v3":
            return json_reply(200, {"version": version})
        return json_reply(300, {"versions": {"values": [version]}},
                          [("Location", f"{self.auth_url}/")])

    def _caller(self, request):
        token = self.token(request.headers.get("x-auth-token"))
        if not token:
            raise KeystoneError(401, UNAUTHORIZED)
        return token

    def _subject(self, request):
        self._caller(request)
        value = request.headers.get("x-subject-token", "")
        if not self.token(value):
            raise KeystoneError(404, "Could not recognize Fernet token")
        return value

    def _validate(self, request):
        value = self._subject(request)
        return self._token_reply(200, value, "nocatalog" in dict(request.query))

    def _revoke(self, request):
        del self.tokens[self._subject(request)]
        return Reply(204, content_type=None)

    def _issue(self, request):
        auth = self._auth_of(request)
        identity = auth["identity"]
        credential = None
        method = identity["methods"][0] if identity.get("methods") else ""
        if method not in identity:
            raise KeystoneError(400, f"Expecting to find {method} in identity. {MALFORMED}")
        if method == "application_credential":
            credential = self._by_credential(identity[method], auth.get("scope"))
            user, project, roles = credential.user, credential.project, credential.roles
        elif method == "password":
            user = self._by_password(identity[method].get("user", {}))
            project, roles = self._scope(user, auth.get("scope"))
        elif method == "token":
            given = self.token(identity[method].get("id"))
            if not given:
                raise KeystoneError(404, "Could not recognize Fernet token")
            user = given.user
            project, roles = self._scope(user, auth.get("scope"))
        else:
            raise KeystoneError(401, f"Attempted to authenticate with an unsupported method: "
                                     f"{method}.")
        value = self._new_token(user, project, roles, identity["methods"], credential)
        return self._token_reply(201, value, "nocatalog" in dict(request.query))

    def _new_token(self, user, project, roles, methods, credential=None):
        now = time.time()
        value = f"gAAAAAB{self.token_mark}{uuid.uuid4().hex}{uuid.uuid4().hex}"
        self.tokens[value] = Token(user, project, roles, methods, now, now + self.token_lifetime,
                                   credential)
        return value

    def _federate(self, request):
        kind, _, value = request.headers.get("authorization", "").partition(" ")
        user = self.users.get(self.access_tokens.get(value)) if kind == "Bearer" else None
        if not user:
            raise KeystoneError(401, UNAUTHORIZED)
        return self._token_reply(201, self._new_token(user, None, [], ["mapped"]), False)

    def _issue_v2(self, request):
        auth = request.json()["auth"]
        given = auth["passwordCredentials"]
        user = self.users.get(given.get("username"))
        if not user or user.password != given.get("password"):
            raise KeystoneError(401, UNAUTHORIZED)
        project, roles = self._scope(user, {"project": {"name": auth.get("tenantName"),
                                                        "domain": DOMAIN}})
        value = self._new_token(user, project, roles, ["password"])
        token = self.tokens[value]
        catalog = [{"type": s["type"], "name": s["name"], "endpoints": [
            {"region": "RegionOne", **{f"{e['interface']}URL": e["url"] for e in s["endpoints"]}}]}
            for s in self.catalog]
        return json_reply(200, {"access": {
            "token": {"id": value, "issued_at": iso_time(token.issued_at, ".000000"),
                      "expires": iso_time(token.expires_at),
                      "tenant": {"id": project.id, "name": project.name, "enabled": True}},
            "user": {"id": user.id, "name": user.name}, "serviceCatalog": catalog}})

    # The identity provider

    def handle_idp(self, request):
        """Discovery and tokens for clients (RFC 6749 4.4)."""
        if request.path == "/.well-known/openid-configuration":
            return json_reply(200, {"issuer": f"{self.url}/idp", "token_endpoint": f"{self.url}/idp/token"})
        kind, _, value = request.headers.get("authorization", "").partition(" ")
        client, _, secret = (base64.b64decode(value).decode() if kind == "Basic" else "").partition(":")
        known, user = self.clients.get(unquote(client), (None, None))
        form = {key: values[0] for key, values in parse_qs(request.body.decode()).items()}
        if known != unquote(secret) or form.get("grant_type") != "client_credentials":
            return json_reply(401, {"error": "invalid_client", "error_description": "Invalid client"})
        token = f"access-{self.token_mark}{uuid.uuid4().hex}"
        self.access_tokens[token] = user
        return json_reply(200, {"access_token": token, "token_type": "Bearer", "expires_in": 300,
                                "scope": form.get("scope", "")})

    def _auth_of(self, request):
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise KeystoneError(400, "Expecting to find application/json in Content-Type header. "
                                     + MALFORMED)
        try:
            auth = request.json().get("auth")
        except ValueError:
            raise KeystoneError(400, f"Expecting to find valid JSON in request body. {MALFORMED}")
        if not isinstance(auth, dict) or "identity" not in auth:
            raise KeystoneError(400, "'identity' is a required property\n\n"
                                     "Failed validating 'required' in schema")
        return auth

    def _find_user(self, given):
        """The user that ID or NAME and DOMAIN name, or None."""
        if "id" in given:
            return next((u for u in self.users.values() if u.id == given["id"]), None)
        domain = given.get("domain", {})
        if domain.get("id") == DOMAIN["id"] or domain.get("name") == DOMAIN["name"]:
            return self.users.get(given.get("name"))
        return None

    def _by_password(self, given):
        user = self._find_user(given)
        if not user or user.password != given.get("password"):
            raise KeystoneError(401, UNAUTHORIZED)
        return user

    def _scope(self, user, scope):
        given = (scope or {}).get("project")
        if not given:
            return None, []
        if "id" in given:
            project = next((p for p in self.projects.values() if p.id == given["id"]), None)
        else:
            domain = given.get("domain", {})
            known = domain.get("id") == DOMAIN["id"] or domain.get("name") == DOMAIN["name"]
            project = self.projects.get(given.get("name")) if known else None
        roles = user.roles.get(project.name) if project else None
        if not roles:
            raise KeystoneError(401, UNAUTHORIZED)
        return project, roles

    def _by_credential(self, given, scope):
        if "id" in given:
            credential = self.credentials.get(given["id"])
            if not credential:
                raise KeystoneError(404, "Could not find Application Credential: "
                                         f"{given['id']}.")
        else:
            user = self._find_user(given.get("user", {}))
            credential = next((c for c in self.credentials.values()
                               if c.user is user and c.name == given.get("name")), None)
        if (not credential or credential.secret != given.get("secret")
                or (credential.expires_at and credential.expires_at <= time.time())):
            raise KeystoneError(401, UNAUTHORIZED)
        if scope:
            raise KeystoneError(401, "Error authenticating with application credential: "
                                     "Application credentials cannot request a scope.",
                                identity={})
        return credential

    def _token_reply(self, status, value, without_catalog):
        token = self.tokens[value]
        body = {"methods": token.methods,
                "user": {"domain": DOMAIN, "id": token.user.id, "name": token.user.name,
                         "password_expires_at": None},
                "audit_ids": [token.audit_id],
                "expires_at": iso_time(token.expires_at, ".000000Z"),
                "issued_at": iso_time(token.issued_at, ".000000Z")}
        if token.credential:
            body["application_credential"] = {"id": token.credential.id,
                                              "name": token.credential.name,
                                              "restricted": True}
        if token.project:
            body.update({"project": {"domain": DOMAIN, "id": token.project.id,
                                     "name": token.project.name},
                         "is_domain": False, "roles": [self._role(r) for r in token.roles]})
            if not without_catalog:
                body["catalog"] = self.catalog
        return json_reply(status, {"token": body}, [("X-Subject-Token", value)])

    def _role(self, name):
        return {"id": self.role_ids.setdefault(name, uuid.uuid4().hex), "name": name}
