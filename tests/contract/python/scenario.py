"""The whole contract, once through, with an independent client. See ../README.md."""

import csv
import io
import json
import os
import re
import sys
from datetime import datetime, timedelta, timezone

from checks import check, expect, expect_refusal, expect_true, run_all
from client import AuditEntry, Client

VALUE = "python-canary-52b1c09f7ae34d68"
AUDIT_FIELDS = (
    "id app_id actor_user_id actor_api_key_id action subject_type subject_id agent_version_id session_id metadata created_at"
).split()


class Scenario:
    """The state that checks pass on to the next one."""

    def __init__(self, environment):
        url = environment["TAVORA_URL"]
        self.url = url
        self.key = environment["TAVORA_API_KEY"]
        self.revoked_key = environment["TAVORA_REVOKED_API_KEY"]
        self.client = Client(url, {"X-API-Key": self.key})
        self.other = Client(url, {"X-API-Key": environment["TAVORA_OTHER_API_KEY"]})
        self.main = None
        self.second = None
        self.put_request_id = None


# The app, while it is empty.


@check
def app_is_described(s):
    app = s.client.app()
    expect(app.id.version, 7)
    expect_true(app.name != "" and re.fullmatch("[a-z0-9-]+", app.slug) is not None, f"{app}")
    expect_true(app.created_at <= app.updated_at, f"{app}")
    expect(app.vault_id, None)


@check
def app_answers_as_project_too(s):
    expect(s.client.app("project"), s.client.app("app"))


@check
def no_vault_is_designated_at_first(s):
    expect(s.client.designated_vault(), None)
    expect(json.loads(s.client.last.body), {"vault_id": None})


@check
def tools_name_missing_credentials(s):
    expect(credential_is_present(s), False)


# Vaults.


@check
def vault_is_created(s):
    s.main = s.client.create_vault("main", metadata={"team": "search", "nested": {"list": [1, "two", None]}})
    expect(s.client.last.status, 201)
    expect(s.main.id.version, 7)
    app = s.client.app()
    expect((s.main.app_id, s.main.project_id), (app.id, app.id))
    expect((s.main.name, s.main.metadata), ("main", {"team": "search", "nested": {"list": [1, "two", None]}}))


@check
def vault_name_is_taken(s):
    expect_refusal(409, "vault_name_taken", lambda: s.client.create_vault("main"))


@check
def vault_without_metadata_has_none(s):
    s.second = s.client.create_vault("Klucze & Schlüssel 鍵")
    expect((s.second.name, s.second.metadata), ("Klucze & Schlüssel 鍵", {}))


@check
def vaults_are_listed_oldest_first(s):
    expect(s.client.vaults(), [s.main, s.second])
    expect(s.other.vaults(), [])


@check
def vault_is_fetched(s):
    expect(s.client.vault(s.main.id), s.main)


@check
def metadata_is_replaced(s):
    changed = s.client.update_vault(s.main.id, metadata={"owner": "search"})
    expect(changed.metadata, {"owner": "search"})
    expect_true(changed.updated_at >= s.main.updated_at, f"{changed}")
    expect((changed.id, changed.name, changed.created_at), (s.main.id, s.main.name, s.main.created_at))


@check
def omitted_metadata_is_kept(s):
    expect(s.client.update_vault(s.main.id).metadata, {"owner": "search"})


@check
def unknown_field_is_refused(s):
    refusal = expect_refusal(400, "unknown_field", lambda: s.client.create_vault("brief", metdata={}))
    expect(refusal.details, {"field": "metdata", "did_you_mean": "metadata"})
    s.client.delete_vault(s.client.create_vault("brief").id)
    expect((s.client.last.status, s.client.last.body), (204, ""))


@check
def vault_changes_only_as_expected(s):
    s.client.vault(s.main.id)
    stale = s.client.last.headers["etag"]
    s.client.update_vault(s.main.id, stale, metadata={"turn": 1})
    fresh = s.client.last.headers["etag"]
    expect_refusal(412, "precondition_failed", lambda: s.client.update_vault(s.main.id, stale, metadata={"turn": 2}))
    expect(s.client.vault(s.main.id).metadata, {"turn": 1})
    expect(s.client.last.headers["etag"], fresh)


# The designation.


@check
def vault_is_designated(s):
    expect(s.client.designate_vault(s.main.id), s.main.id)
    expect((s.client.last.status, json.loads(s.client.last.body)), (200, {"vault_id": str(s.main.id)}))
    expect((s.client.designated_vault(), s.client.app().vault_id), (s.main.id, s.main.id))


@check
def designation_answers_as_project_too(s):
    expect(s.client.designate_vault(s.second.id, "project"), s.second.id)
    expect((s.client.designated_vault("project"), s.client.designated_vault("app")), (s.second.id, s.second.id))


@check
def designation_needs_its_field(s):
    refusal = expect_refusal(400, "invalid_field", lambda: s.client.call("PUT", "/api/sdk/app/vault", {}))
    expect(refusal.details["field"], "vault_id")
    expect(s.client.designated_vault(), s.second.id)


@check
def designation_of_another_apps_vault_is_not_found(s):
    expect_refusal(404, "not_found", lambda: s.other.designate_vault(s.main.id))
    expect(s.other.designated_vault(), None)


@check
def designation_is_cleared(s):
    expect(s.client.designate_vault(None), None)
    expect((s.client.last.status, json.loads(s.client.last.body)), (200, {"vault_id": None}))
    expect((s.client.designated_vault(), s.client.app().vault_id), (None, None))


# Secrets.


@check
def secret_is_redacted(s):
    secret = s.client.put_secret(s.main.id, "first", VALUE)
    s.put_request_id = s.client.last.headers["x-request-id"]
    expect(s.client.last.status, 200)
    expect((secret.vault_id, secret.name, secret.version), (s.main.id, "first", 1))
    expect_true(re.fullmatch("[0-9a-f]{32}", secret.kek_id) is not None, secret.kek_id)
    expect_true(VALUE not in s.client.last.body, "the answer has the value")
    expect_true("value" not in json.loads(s.client.last.body), "the answer has a value")


@check
def secret_name_is_percent_encoded(s):
    encoded = "".join(f"%{byte:02X}" for byte in b"_B.2-c")
    s.client.call("PUT", f"/api/sdk/secret-vaults/{s.main.id}/secrets/{encoded}", {"value": VALUE})
    expect(json.loads(s.client.last.body)["name"], "_B.2-c")
    expect(s.client.put_secret(s.main.id, "_B.2-c", VALUE).version, 2)


@check
def secret_is_overwritten(s):
    before = next(secret for secret in s.client.secrets(s.main.id) if secret.name == "first")
    after = s.client.put_secret(s.main.id, "first", '"\\\n\t\0🗝 of another kind')
    expect((after.version, after.created_at), (2, before.created_at))
    expect_true(after.updated_at >= before.updated_at, f"{before} {after}")


@check
def secrets_are_listed_by_name(s):
    s.client.put_secret(s.main.id, "a.last.one", VALUE)
    expect([secret.name for secret in s.client.secrets(s.main.id)], ["_B.2-c", "a.last.one", "first"])
    expect_true(VALUE not in s.client.last.body, "the list has the value")
    expect(s.client.secrets(s.second.id), [])


@check
def secret_changes_only_as_expected(s):
    s.client.put_secret(s.main.id, "first", VALUE)
    stale = s.client.last.headers["etag"]
    secret = s.client.put_secret(s.main.id, "first", VALUE, stale)
    expect(secret.version, 4)
    expect_refusal(412, "precondition_failed", lambda: s.client.put_secret(s.main.id, "first", VALUE, stale))
    expect_true(secret in s.client.secrets(s.main.id), "the refused change was made")


@check
def secret_of_64_kib_is_stored(s):
    expect(s.client.put_secret(s.main.id, "long", "é" * (32 * 1024)).version, 1)


@check
def secret_over_64_kib_is_refused(s):
    long = "é" * (32 * 1024) + "x"
    expect_refusal(400, "invalid_secret_value", lambda: s.client.put_secret(s.main.id, "long", long))
    expect([secret.version for secret in s.client.secrets(s.main.id) if secret.name == "long"], [1])


@check
def empty_secret_is_refused(s):
    expect_refusal(400, "invalid_secret_value", lambda: s.client.put_secret(s.main.id, "empty", ""))


@check
def secret_name_is_refused(s):
    for name in ["with space", "a/b", ".first", "naïve", "n" * 256]:
        expect_refusal(400, "invalid_secret_name", lambda: s.client.put_secret(s.main.id, name, VALUE))
    expect(len(s.client.secrets(s.main.id)), 4)


@check
def secret_is_deleted_twice(s):
    for _ in range(2):
        s.client.delete_secret(s.main.id, "long")
        expect((s.client.last.status, s.client.last.body), (204, ""))
    expect(len(s.client.secrets(s.main.id)), 3)


@check
def names_are_not_cached(s):
    s.client.secrets(s.main.id)
    expect(s.client.last.headers["cache-control"], "no-store")
    s.client.put_secret(s.main.id, "first", VALUE)
    expect(s.client.last.headers["cache-control"], "no-store, no-transform")


# Agents.


@check
def program_gives_its_result(s):
    run = s.client.execute("console.log('one', input.b); return { sum: input.a + 1 }", input={"a": 1, "b": "two"})
    expect((run.ok, run.result, run.error), (True, {"sum": 2}, None))
    expect((run.logs, run.calls), (["one two"], []))
    expect_true(run.duration_ms >= 0, f"{run}")


@check
def program_throws(s):
    run = s.client.execute("throw new TypeError('not today')")
    expect(s.client.last.status, 200)
    expect((run.ok, run.result), (False, None))
    expect((run.error.name, run.error.code, run.error.message), ("TypeError", None, "not today"))


@check
def program_hits_its_time_limit(s):
    run = s.client.execute("for (;;) {}", timeout_ms=300)
    expect((s.client.last.status, run.ok, run.error.code), (200, False, "limit_exceeded"))


@check
def program_needs_a_credential(s):
    run = s.client.execute("return search('rust')")
    expect((run.ok, run.error.name, run.error.code), (False, "ToolError", "no_vault_designated"))
    s.client.designate_vault(s.main.id)
    run = s.client.execute("return search('rust')")
    expect((run.ok, run.error.name, run.error.code), (False, "ToolError", "secret_not_found"))
    expect([(call.tool, call.operation, call.ok) for call in run.calls], [("brave-search", "search", False)])


@check
def program_searches(s):
    s.client.put_secret(s.main.id, "brave_api_key", VALUE)
    run = s.client.execute("return search('rust').map(r => r.title)")
    expect((run.ok, run.error, len(run.result)), (True, None, 1))
    expect([(call.tool, call.operation, call.ok) for call in run.calls], [("brave-search", "search", True)])


@check
def program_sees_no_credential(s):
    run = s.client.execute("const [r] = search('rust'); console.log(r.title); return r")
    expect_true(run.ok and len(run.logs) == 1, f"{run}")
    expect_true(VALUE not in s.client.last.body, "the answer has the credential")


@check
def tools_name_present_credentials(s):
    expect(credential_is_present(s), True)


# The audit.


@check
def audit_is_newest_first(s):
    page = s.client.audit_log(limit=1000)
    expect((page.offset, page.total), (0, len(page.entries)))
    times = [entry.created_at for entry in page.entries]
    expect(times, sorted(times, reverse=True))
    app = s.client.app().id
    expect_true(all(entry.app_id == app for entry in page.entries), "an entry of another app")
    expect_true(page.total > 20, f"only {page.total} entries")


@check
def audit_is_paged(s):
    whole = s.client.audit_log(limit=1000)
    paged = []
    for offset in range(0, whole.total, 7):
        page = s.client.audit_log(limit=7, offset=offset)
        expect((page.limit, page.offset, page.total), (7, offset, whole.total))
        paged += page.entries
    expect(paged, whole.entries)


@check
def audit_is_filtered_by_action(s):
    page = s.client.audit_log(action="app.vault_designated")
    expect((page.total, {entry.action for entry in page.entries}), (3, {"app.vault_designated"}))


@check
def audit_is_filtered_by_subject(s):
    page = s.client.audit_log(subject_type="vault")
    expect({entry.subject_type for entry in page.entries}, {"vault"})
    actions = {entry.action for entry in page.entries}
    expect(actions, {"vault.created", "vault.updated", "vault.deleted"})


@check
def audit_is_filtered_by_time(s):
    now = datetime.now(timezone.utc)
    hour = timedelta(hours=1)
    whole = s.client.audit_log().total
    expect(s.client.audit_log(**{"from": shown(now + hour)}).total, 0)
    expect(s.client.audit_log(to=shown(now - hour)).total, 0)
    expect(s.client.audit_log(**{"from": shown(now - hour), "to": shown(now + hour)}).total, whole)


@check
def audit_names_key_and_request(s):
    entries = s.client.audit_log(action="secret.put").entries
    first = entries[-1]
    expect(first.metadata["request_id"], s.put_request_id)
    expect(first.subject_id, f"{s.main.id}/first")
    expect_true(all(entry.actor_api_key_id is not None for entry in entries), "an entry without its API key")
    expect_true(VALUE not in s.client.last.body, "the audit has the value")


@check
def audit_is_exported_as_json(s):
    whole = s.client.audit_log(limit=1000).entries
    exported = [AuditEntry.parse(entry) for entry in json.loads(s.client.export_audit_log())]
    expect(exported, whole)
    headers = s.client.last.headers
    expect(headers["content-type"].partition(";")[0], "application/json")
    expect_true(headers["content-disposition"].startswith("attachment"), headers["content-disposition"])


@check
def audit_is_exported_as_csv(s):
    puts = s.client.audit_log(action="secret.put").entries
    rows = list(csv.reader(io.StringIO(s.client.export_audit_log(format="csv", action="secret.put"))))
    expect(s.client.last.headers["content-type"].partition(";")[0], "text/csv")
    expect(rows[0], AUDIT_FIELDS)
    expect([row[0] for row in rows[1:]], [str(entry.id) for entry in puts])


# Authentication.


@check
def bearer_is_accepted(s):
    expect(remember(s, {"Authorization": f"Bearer {s.key}"}).app(), s.client.app())


@check
def missing_key_is_refused(s):
    expect_refusal(401, "unauthorized", remember(s, {}).app)


@check
def malformed_key_is_refused(s):
    expect_refusal(401, "unauthorized", remember(s, {"X-API-Key": "letmein"}).app)


@check
def unknown_key_is_refused(s):
    changed = "A" if s.key[-1] != "A" else "B"
    expect_refusal(401, "unauthorized", remember(s, {"X-API-Key": s.key[:-1] + changed}).app)


@check
def revoked_key_is_refused(s):
    expect_refusal(401, "unauthorized", remember(s, {"X-API-Key": s.revoked_key}).app)


@check
def another_apps_vault_is_not_found(s):
    before = (s.client.vault(s.main.id), s.client.secrets(s.main.id))
    for request in [
        lambda: s.other.vault(s.main.id),
        lambda: s.other.update_vault(s.main.id, metadata={}),
        lambda: s.other.delete_vault(s.main.id),
        lambda: s.other.secrets(s.main.id),
        lambda: s.other.put_secret(s.main.id, "first", VALUE),
        lambda: s.other.delete_secret(s.main.id, "first"),
    ]:
        expect_refusal(404, "not_found", request)
    expect((s.client.vault(s.main.id), s.client.secrets(s.main.id)), before)


# Unreadable requests.


@check
def long_body_is_refused(s):
    expect_refusal(413, "body_too_large", lambda: s.client.create_vault("x" * (1024 * 1024)))


@check
def other_content_type_is_refused(s):
    headers = {"Content-Type": "text/plain"}
    request = lambda: s.client.send("POST", "/api/sdk/secret-vaults", b'{"name": "plain"}', headers)
    expect_refusal(415, "unsupported_media_type", request)


@check
def bad_json_is_refused(s):
    headers = {"Content-Type": "application/json"}
    request = lambda: s.client.send("POST", "/api/sdk/secret-vaults", b'{"name": ', headers)
    expect_refusal(400, "invalid_json", request)


@check
def wrong_type_names_its_field(s):
    request = lambda: s.client.call("POST", "/api/sdk/secret-vaults", {"name": 7})
    expect(expect_refusal(400, "invalid_field", request).details["field"], "name")


@check
def other_method_is_refused(s):
    expect_refusal(405, "method_not_allowed", lambda: s.client.send("DELETE", "/api/sdk/secret-vaults"))
    expect_true("POST" in s.client.last.headers["allow"], s.client.last.headers["allow"])


@check
def unknown_route_is_not_found(s):
    expect_refusal(404, "not_found", lambda: s.client.send("GET", "/api/sdk/secret-vault"))
    expect([vault.name for vault in s.client.vaults()], [s.main.name, s.second.name])


# The end.


@check
def vault_is_deleted_with_its_secrets(s):
    s.client.delete_vault(s.main.id)
    expect((s.client.last.status, s.client.last.body), (204, ""))
    expect(s.client.designated_vault(), None)
    expect_refusal(404, "not_found", lambda: s.client.secrets(s.main.id))
    expect_refusal(404, "not_found", lambda: s.client.delete_vault(s.main.id))
    expect(s.client.vaults(), [s.second])


@check
def every_response_has_its_request_id(s):
    responses = s.client.responses + s.other.responses
    ids = {response.headers["x-request-id"] for response in responses}
    expect(len(ids), len(responses))
    expect_true(len(ids) > 100, f"only {len(ids)} responses")


def credential_is_present(s):
    """Whether the app has the search tool's credential, by the list of tools."""
    [search] = [tool for tool in s.client.tools() if tool.name == "brave-search"]
    expect([operation.name for operation in search.operations], ["search"])
    expect(search.operations[0].input_schema["type"], "object")
    [credential] = search.credentials
    expect(credential.name, "brave_api_key")
    return credential.present


def remember(s, headers):
    """A client with other credentials. Its responses count as the scenario's."""
    client = Client(s.url, headers)
    client.responses = s.client.responses
    return client


def shown(time):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


if __name__ == "__main__":
    sys.exit(0 if run_all(Scenario(os.environ)) else 1)
