// The whole contract, once through, with an independent client. See ../README.md.

package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"sort"
	"strings"
	"time"
)

const value = "go-canary-6c0d37e1f5284ba9"

const auditFields = "id app_id actor_user_id actor_api_key_id action subject_type subject_id agent_version_id session_id metadata created_at"

// Scenario is the state that checks pass on to the next one.
type Scenario struct {
	URL          string
	Key          string
	RevokedKey   string
	Client       *Client
	Other        *Client
	Main         Vault
	Second       Vault
	PutRequestID string
}

func main() {
	baseURL, key := os.Getenv("TAVORA_URL"), os.Getenv("TAVORA_API_KEY")
	scenario := &Scenario{
		URL:        baseURL,
		Key:        key,
		RevokedKey: os.Getenv("TAVORA_REVOKED_API_KEY"),
		Client:     NewClient(baseURL, "X-API-Key", key),
		Other:      NewClient(baseURL, "X-API-Key", os.Getenv("TAVORA_OTHER_API_KEY")),
	}
	if !RunAll(checks, scenario) {
		os.Exit(1)
	}
}

var checks = []Check{
	// The app, while it is empty.
	{"app-is-described", func(s *Scenario) {
		app := Done(s.Client.App("app"))
		Expect(app.ID[14], '7')
		ExpectTrue(app.Name != "" && regexp.MustCompile("^[a-z0-9-]+$").MatchString(app.Slug), app)
		ExpectTrue(!app.UpdatedAt.Before(app.CreatedAt.Time), app)
		Expect(app.VaultID, nil)
	}},
	{"app-answers-as-project-too", func(s *Scenario) {
		Expect(Done(s.Client.App("project")), Done(s.Client.App("app")))
	}},
	{"no-vault-is-designated-at-first", func(s *Scenario) {
		Expect(Done(s.Client.DesignatedVault("app")), nil)
		ExpectJSON(s.Client.Last().Body, `{"vault_id": null}`)
	}},
	{"tools-name-missing-credentials", func(s *Scenario) {
		Expect(s.credentialIsPresent(), false)
	}},

	// Vaults.
	{"vault-is-created", func(s *Scenario) {
		metadata := map[string]any{"team": "search", "nested": map[string]any{"list": []any{1.0, "two", nil}}}
		s.Main = Done(s.Client.CreateVault(NewVault{"main", metadata}))
		Expect(s.Client.Last().Status, 201)
		Expect(s.Main.ID[14], '7')
		app := Done(s.Client.App("app"))
		Expect([]UUID{s.Main.AppID, s.Main.ProjectID}, []UUID{app.ID, app.ID})
		Expect(s.Main.Name, "main")
		Expect(s.Main.Metadata, metadata)
	}},
	{"vault-name-is-taken", func(s *Scenario) {
		_, err := s.Client.CreateVault(NewVault{Name: "main"})
		ExpectRefusal(409, "vault_name_taken", err)
	}},
	{"vault-without-metadata-has-none", func(s *Scenario) {
		s.Second = Done(s.Client.CreateVault(NewVault{Name: "Klucze & Schlüssel 鍵"}))
		Expect(s.Second.Name, "Klucze & Schlüssel 鍵")
		Expect(s.Second.Metadata, map[string]any{})
	}},
	{"vaults-are-listed-oldest-first", func(s *Scenario) {
		Expect(Done(s.Client.Vaults()), []Vault{s.Main, s.Second})
		Expect(Done(s.Other.Vaults()), []Vault{})
	}},
	{"vault-is-fetched", func(s *Scenario) {
		Expect(Done(s.Client.Vault(s.Main.ID)), s.Main)
	}},
	{"metadata-is-replaced", func(s *Scenario) {
		changes := VaultChanges{map[string]any{"owner": "search"}}
		changed := Done(s.Client.UpdateVault(s.Main.ID, changes, ""))
		Expect(changed.Metadata, changes.Metadata)
		ExpectTrue(!changed.UpdatedAt.Before(s.Main.UpdatedAt.Time), changed)
		changed.Metadata, changed.UpdatedAt = s.Main.Metadata, s.Main.UpdatedAt
		Expect(changed, s.Main)
	}},
	{"omitted-metadata-is-kept", func(s *Scenario) {
		kept := Done(s.Client.UpdateVault(s.Main.ID, VaultChanges{}, ""))
		Expect(kept.Metadata, map[string]any{"owner": "search"})
	}},
	{"unknown-field-is-refused", func(s *Scenario) {
		body := map[string]any{"name": "brief", "metdata": map[string]any{}}
		err := s.Client.Call("POST", "/api/sdk/secret-vaults", body, "", nil)
		details := ExpectRefusal(400, "unknown_field", err).Details
		Expect(details["field"], "metdata")
		Expect(details["did_you_mean"], "metadata")
		brief := Done(s.Client.CreateVault(NewVault{Name: "brief"}))
		DoneWithout(s.Client.DeleteVault(brief.ID))
		s.expectNoContent()
	}},
	{"vault-changes-only-as-expected", func(s *Scenario) {
		Done(s.Client.Vault(s.Main.ID))
		stale := s.Client.Last().Headers.Get("ETag")
		turn := func(turn float64) VaultChanges { return VaultChanges{map[string]any{"turn": turn}} }
		Done(s.Client.UpdateVault(s.Main.ID, turn(1), stale))
		fresh := s.Client.Last().Headers.Get("ETag")
		_, err := s.Client.UpdateVault(s.Main.ID, turn(2), stale)
		ExpectRefusal(412, "precondition_failed", err)
		Expect(Done(s.Client.Vault(s.Main.ID)).Metadata, turn(1).Metadata)
		Expect(s.Client.Last().Headers.Get("ETag"), fresh)
	}},

	// The designation.
	{"vault-is-designated", func(s *Scenario) {
		Expect(*Done(s.Client.DesignateVault("app", &s.Main.ID)), s.Main.ID)
		Expect(s.Client.Last().Status, 200)
		ExpectJSON(s.Client.Last().Body, fmt.Sprintf(`{"vault_id": %q}`, s.Main.ID))
		Expect(*Done(s.Client.DesignatedVault("app")), s.Main.ID)
		Expect(*Done(s.Client.App("app")).VaultID, s.Main.ID)
	}},
	{"designation-answers-as-project-too", func(s *Scenario) {
		Expect(*Done(s.Client.DesignateVault("project", &s.Second.ID)), s.Second.ID)
		Expect(*Done(s.Client.DesignatedVault("project")), s.Second.ID)
		Expect(*Done(s.Client.DesignatedVault("app")), s.Second.ID)
	}},
	{"designation-needs-its-field", func(s *Scenario) {
		err := s.Client.Call("PUT", "/api/sdk/app/vault", struct{}{}, "", nil)
		Expect(ExpectRefusal(400, "invalid_field", err).Details["field"], "vault_id")
		Expect(*Done(s.Client.DesignatedVault("app")), s.Second.ID)
	}},
	{"designation-of-another-apps-vault-is-not-found", func(s *Scenario) {
		_, err := s.Other.DesignateVault("app", &s.Main.ID)
		ExpectRefusal(404, "not_found", err)
		Expect(Done(s.Other.DesignatedVault("app")), nil)
	}},
	{"designation-is-cleared", func(s *Scenario) {
		Expect(Done(s.Client.DesignateVault("app", nil)), nil)
		Expect(s.Client.Last().Status, 200)
		ExpectJSON(s.Client.Last().Body, `{"vault_id": null}`)
		Expect(Done(s.Client.DesignatedVault("app")), nil)
		Expect(Done(s.Client.App("app")).VaultID, nil)
	}},

	// Secrets.
	{"secret-is-redacted", func(s *Scenario) {
		secret := Done(s.Client.PutSecret(s.Main.ID, "first", value, ""))
		last := s.Client.Last()
		s.PutRequestID = last.Headers.Get("X-Request-Id")
		Expect(last.Status, 200)
		Expect([]any{secret.VaultID, secret.Name, secret.Version}, []any{s.Main.ID, "first", 1})
		ExpectTrue(regexp.MustCompile("^[0-9a-f]{32}$").MatchString(secret.KekID), secret.KekID)
		s.expectNoValue()
		var fields map[string]any
		DoneWithout(json.Unmarshal(last.Body, &fields))
		ExpectTrue(fields["value"] == nil, "the answer has a value")
	}},
	{"secret-name-is-percent-encoded", func(s *Scenario) {
		encoded := ""
		for _, b := range []byte("_B.2-c") {
			encoded += fmt.Sprintf("%%%02X", b)
		}
		var secret Secret
		body := map[string]string{"value": value}
		DoneWithout(s.Client.Call("PUT", vaultPath(s.Main.ID)+"/secrets/"+encoded, body, "", &secret))
		Expect(secret.Name, "_B.2-c")
		Expect(Done(s.Client.PutSecret(s.Main.ID, "_B.2-c", value, "")).Version, 2)
	}},
	{"secret-is-overwritten", func(s *Scenario) {
		before := s.secret("first")
		after := Done(s.Client.PutSecret(s.Main.ID, "first", "\"\\\n\t\x00🗝 of another kind", ""))
		Expect(after.Version, 2)
		Expect(after.CreatedAt, before.CreatedAt)
		ExpectTrue(!after.UpdatedAt.Before(before.UpdatedAt.Time), after)
	}},
	{"secrets-are-listed-by-name", func(s *Scenario) {
		Done(s.Client.PutSecret(s.Main.ID, "a.last.one", value, ""))
		names := []string{}
		for _, secret := range Done(s.Client.Secrets(s.Main.ID)) {
			names = append(names, secret.Name)
		}
		Expect(names, []string{"_B.2-c", "a.last.one", "first"})
		s.expectNoValue()
		Expect(Done(s.Client.Secrets(s.Second.ID)), []Secret{})
	}},
	{"secret-changes-only-as-expected", func(s *Scenario) {
		Done(s.Client.PutSecret(s.Main.ID, "first", value, ""))
		stale := s.Client.Last().Headers.Get("ETag")
		secret := Done(s.Client.PutSecret(s.Main.ID, "first", value, stale))
		Expect(secret.Version, 4)
		_, err := s.Client.PutSecret(s.Main.ID, "first", value, stale)
		ExpectRefusal(412, "precondition_failed", err)
		Expect(s.secret("first"), secret)
	}},
	{"secret-of-64-kib-is-stored", func(s *Scenario) {
		Expect(Done(s.Client.PutSecret(s.Main.ID, "long", strings.Repeat("é", 32*1024), "")).Version, 1)
	}},
	{"secret-over-64-kib-is-refused", func(s *Scenario) {
		_, err := s.Client.PutSecret(s.Main.ID, "long", strings.Repeat("é", 32*1024)+"x", "")
		ExpectRefusal(400, "invalid_secret_value", err)
		Expect(s.secret("long").Version, 1)
	}},
	{"empty-secret-is-refused", func(s *Scenario) {
		_, err := s.Client.PutSecret(s.Main.ID, "empty", "", "")
		ExpectRefusal(400, "invalid_secret_value", err)
	}},
	{"secret-name-is-refused", func(s *Scenario) {
		for _, name := range []string{"with space", "a/b", ".first", "naïve", strings.Repeat("n", 256)} {
			_, err := s.Client.PutSecret(s.Main.ID, name, value, "")
			ExpectRefusal(400, "invalid_secret_name", err)
		}
		Expect(len(Done(s.Client.Secrets(s.Main.ID))), 4)
	}},
	{"secret-is-deleted-twice", func(s *Scenario) {
		for i := 0; i < 2; i++ {
			DoneWithout(s.Client.DeleteSecret(s.Main.ID, "long"))
			s.expectNoContent()
		}
		Expect(len(Done(s.Client.Secrets(s.Main.ID))), 3)
	}},
	{"names-are-not-cached", func(s *Scenario) {
		Done(s.Client.Secrets(s.Main.ID))
		Expect(s.Client.Last().Headers.Get("Cache-Control"), "no-store")
		Done(s.Client.PutSecret(s.Main.ID, "first", value, ""))
		Expect(s.Client.Last().Headers.Get("Cache-Control"), "no-store, no-transform")
	}},

	// Agents.
	{"program-gives-its-result", func(s *Scenario) {
		run := Done(s.Client.Execute(Program{
			Code:  "console.log('one', input.b); return { sum: input.a + 1 }",
			Input: map[string]any{"a": 1, "b": "two"},
		}))
		ExpectTrue(run.OK && run.Error == nil, run)
		ExpectJSON(run.Result, `{"sum": 2}`)
		Expect(run.Logs, []string{"one two"})
		ExpectTrue(len(run.Calls) == 0 && run.DurationMs >= 0, run)
	}},
	{"program-throws", func(s *Scenario) {
		run := Done(s.Client.Execute(Program{Code: "throw new TypeError('not today')"}))
		Expect(s.Client.Last().Status, 200)
		ExpectTrue(!run.OK && string(run.Result) == "null", run)
		Expect([]string{run.Error.Name, run.Error.Message}, []string{"TypeError", "not today"})
		Expect(run.Error.Code, nil)
	}},
	{"program-hits-its-time-limit", func(s *Scenario) {
		run := Done(s.Client.Execute(Program{Code: "for (;;) {}", TimeoutMs: 300}))
		Expect(s.Client.Last().Status, 200)
		Expect([]any{run.OK, *run.Error.Code}, []any{false, "limit_exceeded"})
	}},
	{"program-needs-a-credential", func(s *Scenario) {
		run := Done(s.Client.Execute(Program{Code: "return search('rust')"}))
		Expect([]any{run.OK, run.Error.Name, *run.Error.Code}, []any{false, "ToolError", "no_vault_designated"})
		Done(s.Client.DesignateVault("app", &s.Main.ID))
		run = Done(s.Client.Execute(Program{Code: "return search('rust')"}))
		Expect([]any{run.OK, run.Error.Name, *run.Error.Code}, []any{false, "ToolError", "secret_not_found"})
		expectOneCall(run, false)
	}},
	{"program-searches", func(s *Scenario) {
		Done(s.Client.PutSecret(s.Main.ID, "brave_api_key", value, ""))
		run := Done(s.Client.Execute(Program{Code: "return search('rust').map(r => r.title)"}))
		ExpectTrue(run.OK && run.Error == nil, run)
		var titles []string
		DoneWithout(json.Unmarshal(run.Result, &titles))
		Expect(len(titles), 1)
		expectOneCall(run, true)
	}},
	{"program-sees-no-credential", func(s *Scenario) {
		run := Done(s.Client.Execute(Program{Code: "const [r] = search('rust'); console.log(r.title); return r"}))
		ExpectTrue(run.OK && len(run.Logs) == 1, run)
		s.expectNoValue()
	}},
	{"tools-name-present-credentials", func(s *Scenario) {
		Expect(s.credentialIsPresent(), true)
	}},

	// The audit.
	{"audit-is-newest-first", func(s *Scenario) {
		page := Done(s.Client.AuditLog(url.Values{"limit": {"1000"}}))
		Expect([]int{page.Offset, page.Total}, []int{0, len(page.Entries)})
		isNewerFirst := func(i, j int) bool {
			return page.Entries[i].CreatedAt.After(page.Entries[j].CreatedAt.Time)
		}
		ExpectTrue(sort.SliceIsSorted(page.Entries, isNewerFirst), "an older entry comes first")
		app := Done(s.Client.App("app")).ID
		for _, entry := range page.Entries {
			Expect(*entry.AppID, app)
		}
		ExpectTrue(page.Total > 20, page.Total)
	}},
	{"audit-is-paged", func(s *Scenario) {
		whole := Done(s.Client.AuditLog(url.Values{"limit": {"1000"}}))
		paged := []AuditEntry{}
		for offset := 0; offset < whole.Total; offset += 7 {
			page := Done(s.Client.AuditLog(url.Values{"limit": {"7"}, "offset": {fmt.Sprint(offset)}}))
			Expect([]int{page.Limit, page.Offset, page.Total}, []int{7, offset, whole.Total})
			paged = append(paged, page.Entries...)
		}
		Expect(paged, whole.Entries)
	}},
	{"audit-is-filtered-by-action", func(s *Scenario) {
		page := Done(s.Client.AuditLog(url.Values{"action": {"app.vault_designated"}}))
		Expect(page.Total, 3)
		for _, entry := range page.Entries {
			Expect(entry.Action, "app.vault_designated")
		}
	}},
	{"audit-is-filtered-by-subject", func(s *Scenario) {
		page := Done(s.Client.AuditLog(url.Values{"subject_type": {"vault"}}))
		actions := map[string]bool{}
		for _, entry := range page.Entries {
			Expect(*entry.SubjectType, "vault")
			actions[entry.Action] = true
		}
		Expect(actions, map[string]bool{"vault.created": true, "vault.updated": true, "vault.deleted": true})
	}},
	{"audit-is-filtered-by-time", func(s *Scenario) {
		before := time.Now().UTC().Add(-time.Hour).Format(time.RFC3339)
		after := time.Now().UTC().Add(time.Hour).Format(time.RFC3339)
		whole := Done(s.Client.AuditLog(nil)).Total
		Expect(Done(s.Client.AuditLog(url.Values{"from": {after}})).Total, 0)
		Expect(Done(s.Client.AuditLog(url.Values{"to": {before}})).Total, 0)
		Expect(Done(s.Client.AuditLog(url.Values{"from": {before}, "to": {after}})).Total, whole)
	}},
	{"audit-names-key-and-request", func(s *Scenario) {
		entries := Done(s.Client.AuditLog(url.Values{"action": {"secret.put"}})).Entries
		first := entries[len(entries)-1]
		Expect(first.Metadata["request_id"], any(s.PutRequestID))
		Expect(*first.SubjectID, string(s.Main.ID)+"/first")
		for _, entry := range entries {
			ExpectTrue(entry.ActorAPIKeyID != nil, entry)
		}
		s.expectNoValue()
	}},
	{"audit-is-exported-as-json", func(s *Scenario) {
		whole := Done(s.Client.AuditLog(url.Values{"limit": {"1000"}})).Entries
		var exported []AuditEntry
		DoneWithout(json.Unmarshal(Done(s.Client.ExportAuditLog(nil)), &exported))
		Expect(exported, whole)
		headers := s.Client.Last().Headers
		Expect(mediaType(headers.Get("Content-Type")), "application/json")
		ExpectTrue(strings.HasPrefix(headers.Get("Content-Disposition"), "attachment"), headers)
	}},
	{"audit-is-exported-as-csv", func(s *Scenario) {
		puts := Done(s.Client.AuditLog(url.Values{"action": {"secret.put"}})).Entries
		file := Done(s.Client.ExportAuditLog(url.Values{"format": {"csv"}, "action": {"secret.put"}}))
		rows := Done(csv.NewReader(bytes.NewReader(file)).ReadAll())
		Expect(mediaType(s.Client.Last().Headers.Get("Content-Type")), "text/csv")
		Expect(strings.Join(rows[0], " "), auditFields)
		Expect(len(rows)-1, len(puts))
		for i, entry := range puts {
			Expect(rows[i+1][0], string(entry.ID))
		}
	}},

	// Authentication.
	{"bearer-is-accepted", func(s *Scenario) {
		app := Done(s.as("Authorization", "Bearer "+s.Key).App("app"))
		Expect(app, Done(s.Client.App("app")))
	}},
	{"missing-key-is-refused", func(s *Scenario) {
		_, err := s.as("", "").App("app")
		ExpectRefusal(401, "unauthorized", err)
	}},
	{"malformed-key-is-refused", func(s *Scenario) {
		_, err := s.as("X-API-Key", "letmein").App("app")
		ExpectRefusal(401, "unauthorized", err)
	}},
	{"unknown-key-is-refused", func(s *Scenario) {
		last, start := s.Key[len(s.Key)-1], s.Key[:len(s.Key)-1]
		changed := start + "A"
		if last == 'A' {
			changed = start + "B"
		}
		_, err := s.as("X-API-Key", changed).App("app")
		ExpectRefusal(401, "unauthorized", err)
	}},
	{"revoked-key-is-refused", func(s *Scenario) {
		_, err := s.as("X-API-Key", s.RevokedKey).App("app")
		ExpectRefusal(401, "unauthorized", err)
	}},
	{"another-apps-vault-is-not-found", func(s *Scenario) {
		vault, secrets := Done(s.Client.Vault(s.Main.ID)), Done(s.Client.Secrets(s.Main.ID))
		_, err := s.Other.Vault(s.Main.ID)
		ExpectRefusal(404, "not_found", err)
		_, err = s.Other.UpdateVault(s.Main.ID, VaultChanges{map[string]any{"a": 1}}, "")
		ExpectRefusal(404, "not_found", err)
		ExpectRefusal(404, "not_found", s.Other.DeleteVault(s.Main.ID))
		_, err = s.Other.Secrets(s.Main.ID)
		ExpectRefusal(404, "not_found", err)
		_, err = s.Other.PutSecret(s.Main.ID, "first", value, "")
		ExpectRefusal(404, "not_found", err)
		ExpectRefusal(404, "not_found", s.Other.DeleteSecret(s.Main.ID, "first"))
		Expect(Done(s.Client.Vault(s.Main.ID)), vault)
		Expect(Done(s.Client.Secrets(s.Main.ID)), secrets)
	}},

	// Unreadable requests.
	{"long-body-is-refused", func(s *Scenario) {
		_, err := s.Client.CreateVault(NewVault{Name: strings.Repeat("x", 1024*1024)})
		ExpectRefusal(413, "body_too_large", err)
	}},
	{"other-content-type-is-refused", func(s *Scenario) {
		headers := map[string]string{"Content-Type": "text/plain"}
		response, err := s.Client.Send("POST", "/api/sdk/secret-vaults", []byte(`{"name": "plain"}`), headers)
		ExpectRefused(415, "unsupported_media_type", response, err)
	}},
	{"bad-json-is-refused", func(s *Scenario) {
		headers := map[string]string{"Content-Type": "application/json"}
		response, err := s.Client.Send("POST", "/api/sdk/secret-vaults", []byte(`{"name": `), headers)
		ExpectRefused(400, "invalid_json", response, err)
	}},
	{"wrong-type-names-its-field", func(s *Scenario) {
		err := s.Client.Call("POST", "/api/sdk/secret-vaults", map[string]int{"name": 7}, "", nil)
		Expect(ExpectRefusal(400, "invalid_field", err).Details["field"], "name")
	}},
	{"other-method-is-refused", func(s *Scenario) {
		response, err := s.Client.Send("DELETE", "/api/sdk/secret-vaults", nil, nil)
		ExpectRefused(405, "method_not_allowed", response, err)
		ExpectTrue(strings.Contains(response.Headers.Get("Allow"), "POST"), response.Headers)
	}},
	{"unknown-route-is-not-found", func(s *Scenario) {
		response, err := s.Client.Send("GET", "/api/sdk/secret-vault", nil, nil)
		ExpectRefused(404, "not_found", response, err)
		vaults := Done(s.Client.Vaults())
		Expect([]any{len(vaults), vaults[0].Name, vaults[1].Name}, []any{2, s.Main.Name, s.Second.Name})
	}},

	// The end.
	{"vault-is-deleted-with-its-secrets", func(s *Scenario) {
		DoneWithout(s.Client.DeleteVault(s.Main.ID))
		s.expectNoContent()
		Expect(Done(s.Client.DesignatedVault("app")), nil)
		_, err := s.Client.Secrets(s.Main.ID)
		ExpectRefusal(404, "not_found", err)
		ExpectRefusal(404, "not_found", s.Client.DeleteVault(s.Main.ID))
		Expect(Done(s.Client.Vaults()), []Vault{s.Second})
	}},
	{"every-response-has-its-request-id", func(s *Scenario) {
		responses := append(*s.Client.Responses, *s.Other.Responses...)
		ids := map[string]bool{}
		for _, response := range responses {
			ids[response.Headers.Get("X-Request-Id")] = true
		}
		Expect(len(ids), len(responses))
		ExpectTrue(!ids[""] && len(ids) > 100, len(ids))
	}},
}

// credentialIsPresent returns whether the app has the search tool's credential, by the list of
// tools.
func (s *Scenario) credentialIsPresent() bool {
	for _, tool := range Done(s.Client.Tools()) {
		if tool.Name == "brave-search" {
			Expect([]int{len(tool.Operations), len(tool.Credentials)}, []int{1, 1})
			Expect(tool.Operations[0].Name, "search")
			Expect(tool.Operations[0].InputSchema["type"], any("object"))
			Expect(tool.Credentials[0].Name, "brave_api_key")
			return tool.Credentials[0].Present
		}
	}
	panic("there is no search tool")
}

// as returns a client with another credential. Its responses count as the scenario's.
func (s *Scenario) as(header, value string) *Client {
	client := NewClient(s.URL, header, value)
	client.Responses = s.Client.Responses
	return client
}

func (s *Scenario) secret(name string) Secret {
	for _, secret := range Done(s.Client.Secrets(s.Main.ID)) {
		if secret.Name == name {
			return secret
		}
	}
	panic("there is no secret " + name)
}

func (s *Scenario) expectNoValue() {
	ExpectTrue(!bytes.Contains(s.Client.Last().Body, []byte(value)), "the answer has the value")
}

func (s *Scenario) expectNoContent() {
	Expect(s.Client.Last().Status, 204)
	Expect(len(s.Client.Last().Body), 0)
}

func expectOneCall(run Execution, ok bool) {
	Expect(len(run.Calls), 1)
	call := run.Calls[0]
	Expect([]any{call.Tool, call.Operation, call.OK}, []any{"brave-search", "search", ok})
}

// ExpectJSON compares two texts as JSON.
func ExpectJSON(found []byte, wanted string) {
	var a, b any
	DoneWithout(json.Unmarshal(found, &a))
	DoneWithout(json.Unmarshal([]byte(wanted), &b))
	Expect(a, b)
}

func mediaType(header string) string {
	kind, _, _ := strings.Cut(header, ";")
	return kind
}
