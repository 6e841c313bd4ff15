"""Trusted tool `weather`: one operation, `today`, which asks a weather service with the app's own
credential. Copy it, and put your upstream in its place.

The tool keeps nothing between calls, and no text of the upstream goes into an error. The host
decides where the tool may connect to.
"""

import json
from urllib.parse import quote, urlsplit

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import outgoing_handler, secrets, store
from wit_world.imports.streams import StreamError_Closed
from wit_world.imports.tavora_platform_types import Operation, ToolError
from wit_world.imports.wasi_http_types import (
    ErrorCode_DestinationIpProhibited,
    ErrorCode_HttpRequestDenied,
    Fields,
    IncomingResponse,
    OutgoingRequest,
    RequestOptions,
    Scheme_Http,
    Scheme_Https,
)

# The name of the secret that this tool resolves.
SECRET = "weather_api_key"

# The input of `today`. `parse` checks the same.
TODAY_SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "minLength": 1, "maxLength": 100, "description": "For example: Lima"},
    },
    "required": ["city"],
    "additionalProperties": False,
}

SECOND_NS = 1_000_000_000
MAX_BODY_BYTES = 1024 * 1024

# The contract's words for each cause, so that people see the same ones for every tool.
REFUSALS = {
    secrets.ResolveError_NoVaultDesignated: ("no_vault_designated", "app has no vault designated"),
    secrets.ResolveError_NotFound: ("secret_not_found", f'secret "{SECRET}" is not in the app\'s vault'),
    secrets.ResolveError_NotGranted: ("secret_not_granted", f'secret "{SECRET}" is not granted to this tool'),
    secrets.ResolveError_Unavailable: ("vault_unavailable", "the vault is unavailable"),
}


class Tool(exports.Tool):
    def describe(self) -> list[Operation]:
        return [Operation("today", "Today's weather in a city.", json.dumps(TODAY_SCHEMA))]

    def call(self, operation: str, input: str) -> str:
        if operation != "today":
            raise tool_error("unknown_operation", f'weather has no operation "{operation}"; it has "today"')
        return today(parse(input))


def parse(text: str) -> str:
    """The city."""
    try:
        given = json.loads(text)
    except ValueError:
        raise tool_error("invalid_input", "the input of today is not JSON") from None
    if not isinstance(given, dict) or set(given) != {"city"}:
        raise tool_error("invalid_input", "the input of today: an object with city and nothing else")
    city = given["city"]
    if not isinstance(city, str) or not 1 <= len(city) <= 100:
        raise tool_error("invalid_input", "the input of today: city has 1 to 100 characters")
    return city


def today(city: str) -> str:
    base_url = store.get("base_url")
    if base_url is None:
        raise tool_error(
            "tool_failed", "the setting base_url is missing; the operator must add it to the tool's config"
        )
    # Resolve the secret at each call and never keep it: a secret that was replaced or deleted a
    # moment ago must not be used again.
    try:
        credential = secrets.resolve(SECRET)
    except Err as refused:
        raise tool_error(*REFUSALS[type(refused.value)]) from None
    status, body = get(
        f"{base_url.rstrip('/')}/today?city={quote(city, safe='')}", {"authorization": f"Bearer {credential}"}
    )
    if status in (401, 403):
        raise tool_error(
            "upstream_auth",
            f'the weather service refused the credential in secret "{SECRET}" (HTTP {status}); '
            "the app's owner must store a valid one",
        )
    if status != 200:
        raise tool_error("upstream_error", f"the weather service answered HTTP {status}; try again later")
    try:
        weather = json.loads(body)
        return json.dumps({"temperature_c": float(weather["temperature_c"]), "sky": str(weather["sky"])})
    except (ValueError, TypeError, KeyError):
        raise tool_error(
            "upstream_error", "the weather service answered something else than weather; try again later"
        ) from None


def get(url: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """Sends one `GET`, with a bound on every wait and on the answer. Returns status and body."""
    parts = urlsplit(url)
    schemes = {"http": Scheme_Http(), "https": Scheme_Https()}
    try:
        fields = Fields.from_list([(name, value.encode()) for name, value in headers.items()])
    except Err:
        raise tool_error(
            "tool_failed", "a header cannot be sent: its value holds a line break or the like"
        ) from None
    request = OutgoingRequest(fields)
    try:
        request.set_scheme(schemes[parts.scheme])
        request.set_authority(parts.netloc)
        request.set_path_with_query(f"{parts.path}?{parts.query}")
    except (Err, KeyError):
        raise tool_error("tool_failed", "the setting base_url is no http or https URL") from None
    options = RequestOptions()
    options.set_connect_timeout(5 * SECOND_NS)
    options.set_first_byte_timeout(15 * SECOND_NS)
    options.set_between_bytes_timeout(10 * SECOND_NS)
    try:
        pending = outgoing_handler.handle(request, options)
        pending.subscribe().block()
        outcome = pending.get().value
    except Err as error:
        outcome = error
    if isinstance(outcome, Err):
        if isinstance(outcome.value, (ErrorCode_HttpRequestDenied, ErrorCode_DestinationIpProhibited)):
            raise tool_error(
                "egress_denied", "the host does not let this tool send that; the operator can grant the origin"
            )
        raise tool_error("upstream_unreachable", "the weather service cannot be reached; try again later")
    response = outcome.value
    return response.status(), read(response)


def read(response: IncomingResponse) -> bytes:
    body = b""
    with response.consume() as incoming, incoming.stream() as stream:
        try:
            while len(body) <= MAX_BODY_BYTES:
                body += stream.blocking_read(64 * 1024)
        except Err as end:
            if isinstance(end.value, StreamError_Closed):
                return body
    raise tool_error(
        "upstream_error", "the weather service broke off its answer, or it is too long; try again later"
    )


def tool_error(code: str, message: str) -> Err[ToolError]:
    return Err(ToolError(code, message))
