"""A client of the public contract, written like an SDK: urllib, dataclasses, one exception.

It sends requests and reads answers. It retries nothing and checks nothing that the host checks.
"""

import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any, Optional
from uuid import UUID

TIMEOUT_SECS = 120


class ApiError(Exception):
    """A refusal of the host. `details` is every top-level field but `code` and `message`."""

    def __init__(self, status: int, body: dict[str, Any]):
        self.status = status
        self.code: str = body["code"]
        self.message: str = body["message"]
        self.details = {key: value for key, value in body.items() if key not in ("code", "message")}
        super().__init__(f"{status} {self.code}: {self.message}")


@dataclass
class Response:
    """An unchanged answer."""

    status: int
    headers: dict[str, str]
    body: str


def parse_time(text: str) -> datetime:
    """A time in RFC 3339, in UTC with a Z; no other form."""
    if not text.endswith("Z"):
        raise ValueError(f"a time without Z: {text}")
    whole, _, fraction = text[:-1].partition(".")
    time = datetime.strptime(whole + "+0000", "%Y-%m-%dT%H:%M:%S%z")
    return time + timedelta(microseconds=int(fraction[:6].ljust(6, "0"))) if fraction else time


def optional(parse):
    return lambda value: None if value is None else parse(value)


def exactly(kind):
    """Checks that a value has this JSON type. Nothing is converted."""

    def parse(value):
        if type(value) is not kind:
            raise TypeError(f"{value!r} is no {kind.__name__}")
        return value

    return parse


def list_of(parse):
    return lambda values: [parse(value) for value in exactly(list)(values)]


def parsed(parse):
    return field(metadata={"parse": parse})


class Model:
    """A JSON object with these fields. Other fields are ignored."""

    @classmethod
    def parse(cls, value: dict[str, Any]):
        return cls(**{f.name: f.metadata["parse"](value[f.name]) for f in fields(cls)})


@dataclass
class App(Model):
    id: UUID = parsed(UUID)
    team_id: UUID = parsed(UUID)
    name: str = parsed(exactly(str))
    slug: str = parsed(exactly(str))
    description: str = parsed(exactly(str))
    created_at: datetime = parsed(parse_time)
    updated_at: datetime = parsed(parse_time)
    vault_id: Optional[UUID] = parsed(optional(UUID))


@dataclass
class Vault(Model):
    id: UUID = parsed(UUID)
    app_id: UUID = parsed(UUID)
    project_id: UUID = parsed(UUID)
    name: str = parsed(exactly(str))
    metadata: dict[str, Any] = parsed(exactly(dict))
    created_at: datetime = parsed(parse_time)
    updated_at: datetime = parsed(parse_time)


@dataclass
class Secret(Model):
    """All that is ever shown of a secret."""

    vault_id: UUID = parsed(UUID)
    name: str = parsed(exactly(str))
    kek_id: str = parsed(exactly(str))
    version: int = parsed(exactly(int))
    created_at: datetime = parsed(parse_time)
    updated_at: datetime = parsed(parse_time)


@dataclass
class AuditEntry(Model):
    id: UUID = parsed(UUID)
    app_id: Optional[UUID] = parsed(optional(UUID))
    actor_user_id: Optional[UUID] = parsed(optional(UUID))
    actor_api_key_id: Optional[UUID] = parsed(optional(UUID))
    action: str = parsed(exactly(str))
    subject_type: Optional[str] = parsed(optional(exactly(str)))
    subject_id: Optional[str] = parsed(optional(exactly(str)))
    agent_version_id: Optional[UUID] = parsed(optional(UUID))
    session_id: Optional[str] = parsed(optional(exactly(str)))
    metadata: dict[str, Any] = parsed(exactly(dict))
    created_at: datetime = parsed(parse_time)


@dataclass
class AuditPage(Model):
    entries: list[AuditEntry] = parsed(list_of(AuditEntry.parse))
    total: int = parsed(exactly(int))
    limit: int = parsed(exactly(int))
    offset: int = parsed(exactly(int))


@dataclass
class Operation(Model):
    name: str = parsed(exactly(str))
    description: str = parsed(exactly(str))
    input_schema: dict[str, Any] = parsed(exactly(dict))


@dataclass
class Credential(Model):
    name: str = parsed(exactly(str))
    present: bool = parsed(exactly(bool))


@dataclass
class Tool(Model):
    name: str = parsed(exactly(str))
    operations: list[Operation] = parsed(list_of(Operation.parse))
    credentials: list[Credential] = parsed(list_of(Credential.parse))


@dataclass
class Call(Model):
    tool: str = parsed(exactly(str))
    operation: str = parsed(exactly(str))
    ok: bool = parsed(exactly(bool))
    duration_ms: int = parsed(exactly(int))


@dataclass
class ScriptError(Model):
    name: str = parsed(exactly(str))
    code: Optional[str] = parsed(optional(exactly(str)))
    message: str = parsed(exactly(str))


@dataclass
class Execution(Model):
    ok: bool = parsed(exactly(bool))
    result: Any = parsed(lambda value: value)
    logs: list[str] = parsed(list_of(exactly(str)))
    calls: list[Call] = parsed(list_of(Call.parse))
    duration_ms: int = parsed(exactly(int))
    error: Optional[ScriptError] = None

    @classmethod
    def parse(cls, value: dict[str, Any]):
        error = value.get("error")
        value = {f.name: f.metadata["parse"](value[f.name]) for f in fields(cls) if f.metadata}
        return cls(**value, error=ScriptError.parse(error) if error else None)


class Client:
    """One app's API key at one host. `responses` holds all answers."""

    def __init__(self, base_url: str, headers: dict[str, str]):
        self.base_url = base_url
        self.headers = headers
        self.responses: list[Response] = []

    @property
    def last(self) -> Response:
        return self.responses[-1]

    # The app. `family`, app or project, is one of two names for the same thing.

    def app(self, family: str = "app") -> App:
        return App.parse(self.call("GET", f"/api/sdk/{family}"))

    def designated_vault(self, family: str = "app") -> Optional[UUID]:
        return optional(UUID)(self.call("GET", f"/api/sdk/{family}/vault")["vault_id"])

    def designate_vault(self, vault: Optional[UUID], family: str = "app") -> Optional[UUID]:
        body = {"vault_id": None if vault is None else str(vault)}
        return optional(UUID)(self.call("PUT", f"/api/sdk/{family}/vault", body)["vault_id"])

    # Vaults.

    def create_vault(self, name: str, **more: Any) -> Vault:
        return Vault.parse(self.call("POST", "/api/sdk/secret-vaults", {"name": name, **more}))

    def vaults(self) -> list[Vault]:
        return [Vault.parse(vault) for vault in self.call("GET", "/api/sdk/secret-vaults")["secret_vaults"]]

    def vault(self, id: UUID) -> Vault:
        return Vault.parse(self.call("GET", f"/api/sdk/secret-vaults/{id}"))

    def update_vault(self, id: UUID, if_match: Optional[str] = None, **changes: Any) -> Vault:
        return Vault.parse(self.call("PATCH", f"/api/sdk/secret-vaults/{id}", changes, if_match))

    def delete_vault(self, id: UUID) -> None:
        self.call("DELETE", f"/api/sdk/secret-vaults/{id}")

    # Secrets.

    def secrets(self, vault: UUID) -> list[Secret]:
        answer = self.call("GET", f"/api/sdk/secret-vaults/{vault}/secrets")
        return [Secret.parse(secret) for secret in answer["secrets"]]

    def put_secret(self, vault: UUID, name: str, value: str, if_match: Optional[str] = None) -> Secret:
        return Secret.parse(self.call("PUT", secret_path(vault, name), {"value": value}, if_match))

    def delete_secret(self, vault: UUID, name: str) -> None:
        self.call("DELETE", secret_path(vault, name))

    # Agents, and what they may call.

    def tools(self) -> list[Tool]:
        return [Tool.parse(tool) for tool in self.call("GET", "/api/sdk/tools")["tools"]]

    def execute(self, code: str, **more: Any) -> Execution:
        return Execution.parse(self.call("POST", "/api/sdk/sandbox/execute", {"code": code, **more}))

    # The audit.

    def audit_log(self, **query: Any) -> AuditPage:
        return AuditPage.parse(self.call("GET", "/api/sdk/audit-log" + encoded(query)))

    def export_audit_log(self, **query: Any) -> str:
        response = self.send("GET", "/api/sdk/audit-log/export" + encoded(query))
        raise_for_status(response)
        return response.body

    # The wire.

    def call(self, method: str, path: str, body: Any = None, if_match: Optional[str] = None) -> Any:
        """Sends JSON and returns the JSON of a success; None for one without a body."""
        headers = {} if if_match is None else {"If-Match": if_match}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        response = self.send(method, path, data, headers)
        raise_for_status(response)
        return None if response.status == 204 else json.loads(response.body)

    def send(self, method: str, path: str, data: Optional[bytes] = None, headers: dict[str, str] = {}) -> Response:
        """Sends a request and returns the answer, even a refusal."""
        request = urllib.request.Request(
            self.base_url + path, data=data, method=method, headers={**self.headers, **headers}
        )
        try:
            answer = urllib.request.urlopen(request, timeout=TIMEOUT_SECS)
        except urllib.error.HTTPError as refusal:
            answer = refusal
        with answer:
            names = {name.lower(): value for name, value in answer.headers.items()}
            response = Response(answer.status, names, answer.read().decode())
        self.responses.append(response)
        return response


def secret_path(vault: UUID, name: str) -> str:
    return f"/api/sdk/secret-vaults/{vault}/secrets/{urllib.parse.quote(name, safe='')}"


def encoded(query: dict[str, Any]) -> str:
    return "?" + urllib.parse.urlencode(query) if query else ""


def raise_for_status(response: Response) -> None:
    if response.status >= 400:
        raise ApiError(response.status, json.loads(response.body))
