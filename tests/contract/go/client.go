// A client of the public contract, written like an SDK in Go: net/http, structs, one error type.
//
// It sends requests and reads answers. It retries nothing and checks nothing that the host checks.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// ApiError is a refusal of the host. Details is every top-level field but code and message.
type ApiError struct {
	Status  int
	Code    string
	Message string
	Details map[string]any
}

func (e *ApiError) Error() string {
	return fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Message)
}

// Response is an unchanged answer.
type Response struct {
	Status  int
	Headers http.Header
	Body    []byte
}

// App is an app as it describes itself.
type App struct {
	ID          UUID   `json:"id"`
	TeamID      UUID   `json:"team_id"`
	Name        string `json:"name"`
	Slug        string `json:"slug"`
	Description string `json:"description"`
	CreatedAt   Time   `json:"created_at"`
	UpdatedAt   Time   `json:"updated_at"`
	VaultID     *UUID  `json:"vault_id"`
}

// Designation names the vault that an app designates.
type Designation struct {
	VaultID *UUID `json:"vault_id"`
}

// Vault is a vault without its secrets.
type Vault struct {
	ID        UUID           `json:"id"`
	AppID     UUID           `json:"app_id"`
	ProjectID UUID           `json:"project_id"`
	Name      string         `json:"name"`
	Metadata  map[string]any `json:"metadata"`
	CreatedAt Time           `json:"created_at"`
	UpdatedAt Time           `json:"updated_at"`
}

// NewVault is a vault to create. Zero values are left out.
type NewVault struct {
	Name     string         `json:"name"`
	Metadata map[string]any `json:"metadata,omitempty"`
}

// VaultChanges is the changes to a vault. Nil fields stay as they are.
type VaultChanges struct {
	Metadata map[string]any `json:"metadata,omitempty"`
}

// Secret is all that is ever shown of a secret.
type Secret struct {
	VaultID   UUID   `json:"vault_id"`
	Name      string `json:"name"`
	KekID     string `json:"kek_id"`
	Version   int    `json:"version"`
	CreatedAt Time   `json:"created_at"`
	UpdatedAt Time   `json:"updated_at"`
}

// AuditEntry is one entry of the audit.
type AuditEntry struct {
	ID             UUID           `json:"id"`
	AppID          *UUID          `json:"app_id"`
	ActorUserID    *UUID          `json:"actor_user_id"`
	ActorAPIKeyID  *UUID          `json:"actor_api_key_id"`
	Action         string         `json:"action"`
	SubjectType    *string        `json:"subject_type"`
	SubjectID      *string        `json:"subject_id"`
	AgentVersionID *UUID          `json:"agent_version_id"`
	SessionID      *string        `json:"session_id"`
	Metadata       map[string]any `json:"metadata"`
	CreatedAt      Time           `json:"created_at"`
}

// AuditPage is a page of the audit, newest entry first.
type AuditPage struct {
	Entries []AuditEntry `json:"entries"`
	Total   int          `json:"total"`
	Limit   int          `json:"limit"`
	Offset  int          `json:"offset"`
}

// Tool is a tool that an app's agents can call.
type Tool struct {
	Name       string `json:"name"`
	Operations []struct {
		Name        string         `json:"name"`
		Description string         `json:"description"`
		InputSchema map[string]any `json:"input_schema"`
	} `json:"operations"`
	Credentials []struct {
		Name    string `json:"name"`
		Present bool   `json:"present"`
	} `json:"credentials"`
}

// Program is a program of an agent. Zero values are left out.
type Program struct {
	Code      string `json:"code"`
	Input     any    `json:"input,omitempty"`
	TimeoutMs int    `json:"timeout_ms,omitempty"`
}

// Execution is the outcome of a program.
type Execution struct {
	OK     bool            `json:"ok"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Name    string  `json:"name"`
		Code    *string `json:"code"`
		Message string  `json:"message"`
	} `json:"error"`
	Logs  []string `json:"logs"`
	Calls []struct {
		Tool       string `json:"tool"`
		Operation  string `json:"operation"`
		OK         bool   `json:"ok"`
		DurationMs int    `json:"duration_ms"`
	} `json:"calls"`
	DurationMs int `json:"duration_ms"`
}

// UUID is the text of a UUID, in lower case with dashes.
type UUID string

// UnmarshalJSON refuses anything else.
func (u *UUID) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	for i, c := range text {
		isDash := i == 8 || i == 13 || i == 18 || i == 23
		if isDash != (c == '-') || !isDash && !strings.ContainsRune("0123456789abcdef", c) {
			return fmt.Errorf("%q is no UUID", text)
		}
	}
	if len(text) != 36 {
		return fmt.Errorf("%q is no UUID", text)
	}
	*u = UUID(text)
	return nil
}

// Time is a moment, written in UTC with a Z.
type Time struct{ time.Time }

// UnmarshalJSON refuses every other form of a time.
func (t *Time) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	if !strings.HasSuffix(text, "Z") {
		return fmt.Errorf("a time without Z: %s", text)
	}
	parsed, err := time.Parse(time.RFC3339Nano, text)
	t.Time = parsed
	return err
}

// Client is one app's API key at one host. Responses holds all answers.
type Client struct {
	BaseURL   string
	Header    string
	Value     string
	Responses *[]Response
	http      http.Client
}

// NewClient makes a client that sends this header with every request. An empty one is left out.
func NewClient(baseURL, header, value string) *Client {
	return &Client{BaseURL: baseURL, Header: header, Value: value, Responses: &[]Response{},
		http: http.Client{Timeout: 2 * time.Minute}}
}

// Last returns the newest response.
func (c *Client) Last() Response {
	return (*c.Responses)[len(*c.Responses)-1]
}

// App describes the app. The family, app or project, is one of two names for the same thing.
func (c *Client) App(family string) (app App, err error) {
	return app, c.Call("GET", "/api/sdk/"+family, nil, "", &app)
}

// DesignatedVault returns the vault that the app designates, or nil.
func (c *Client) DesignatedVault(family string) (*UUID, error) {
	var designation Designation
	err := c.Call("GET", "/api/sdk/"+family+"/vault", nil, "", &designation)
	return designation.VaultID, err
}

// DesignateVault designates a vault; nil clears the designation.
func (c *Client) DesignateVault(family string, vault *UUID) (*UUID, error) {
	var designation Designation
	err := c.Call("PUT", "/api/sdk/"+family+"/vault", Designation{vault}, "", &designation)
	return designation.VaultID, err
}

// CreateVault creates a vault.
func (c *Client) CreateVault(vault NewVault) (created Vault, err error) {
	return created, c.Call("POST", "/api/sdk/secret-vaults", vault, "", &created)
}

// Vaults lists the app's vaults.
func (c *Client) Vaults() ([]Vault, error) {
	var list struct {
		SecretVaults []Vault `json:"secret_vaults"`
	}
	err := c.Call("GET", "/api/sdk/secret-vaults", nil, "", &list)
	return list.SecretVaults, err
}

// Vault fetches one vault.
func (c *Client) Vault(id UUID) (vault Vault, err error) {
	return vault, c.Call("GET", vaultPath(id), nil, "", &vault)
}

// UpdateVault changes a vault; with ifMatch, only if it is unchanged.
func (c *Client) UpdateVault(id UUID, changes VaultChanges, ifMatch string) (vault Vault, err error) {
	return vault, c.Call("PATCH", vaultPath(id), changes, ifMatch, &vault)
}

// DeleteVault deletes a vault with its secrets.
func (c *Client) DeleteVault(id UUID) error {
	return c.Call("DELETE", vaultPath(id), nil, "", nil)
}

// Secrets lists a vault's secrets.
func (c *Client) Secrets(vault UUID) ([]Secret, error) {
	var list struct {
		Secrets []Secret `json:"secrets"`
	}
	err := c.Call("GET", vaultPath(vault)+"/secrets", nil, "", &list)
	return list.Secrets, err
}

// PutSecret stores a secret; with ifMatch, only over the named state.
func (c *Client) PutSecret(vault UUID, name, value, ifMatch string) (secret Secret, err error) {
	body := map[string]string{"value": value}
	return secret, c.Call("PUT", secretPath(vault, name), body, ifMatch, &secret)
}

// DeleteSecret deletes a secret, which may be missing.
func (c *Client) DeleteSecret(vault UUID, name string) error {
	return c.Call("DELETE", secretPath(vault, name), nil, "", nil)
}

// Tools lists what the app's agents can call.
func (c *Client) Tools() ([]Tool, error) {
	var list struct {
		Tools []Tool `json:"tools"`
	}
	err := c.Call("GET", "/api/sdk/tools", nil, "", &list)
	return list.Tools, err
}

// Execute runs an agent's program.
func (c *Client) Execute(program Program) (execution Execution, err error) {
	return execution, c.Call("POST", "/api/sdk/sandbox/execute", program, "", &execution)
}

// AuditLog returns a page of the audit.
func (c *Client) AuditLog(query url.Values) (page AuditPage, err error) {
	return page, c.Call("GET", "/api/sdk/audit-log?"+query.Encode(), nil, "", &page)
}

// ExportAuditLog returns the exported file.
func (c *Client) ExportAuditLog(query url.Values) ([]byte, error) {
	response, err := c.Send("GET", "/api/sdk/audit-log/export?"+query.Encode(), nil, nil)
	if err != nil {
		return nil, err
	}
	return response.Body, response.Refusal()
}

// Call sends JSON. It reads the JSON of a success into result, unless that is nil.
func (c *Client) Call(method, path string, body any, ifMatch string, result any) error {
	headers := map[string]string{}
	var data []byte
	if ifMatch != "" {
		headers["If-Match"] = ifMatch
	}
	if body != nil {
		headers["Content-Type"] = "application/json"
		var err error
		if data, err = json.Marshal(body); err != nil {
			return err
		}
	}
	response, err := c.Send(method, path, data, headers)
	if err != nil {
		return err
	}
	if err := response.Refusal(); err != nil || result == nil {
		return err
	}
	return json.Unmarshal(response.Body, result)
}

// Send sends a request and returns the answer, even a refusal.
func (c *Client) Send(method, path string, data []byte, headers map[string]string) (Response, error) {
	request, err := http.NewRequest(method, c.BaseURL+path, bytes.NewReader(data))
	if err != nil {
		return Response{}, err
	}
	if c.Header != "" {
		request.Header.Set(c.Header, c.Value)
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return Response{}, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	response := Response{answer.StatusCode, answer.Header, body}
	*c.Responses = append(*c.Responses, response)
	return response, err
}

// Refusal returns the error of an answer, or nil for a success.
func (r Response) Refusal() error {
	if r.Status < 400 {
		return nil
	}
	var details map[string]any
	if err := json.Unmarshal(r.Body, &details); err != nil {
		return fmt.Errorf("%d without a JSON object: %w", r.Status, err)
	}
	code, _ := details["code"].(string)
	message, _ := details["message"].(string)
	delete(details, "code")
	delete(details, "message")
	return &ApiError{r.Status, code, message, details}
}

func vaultPath(id UUID) string {
	return "/api/sdk/secret-vaults/" + string(id)
}

func secretPath(vault UUID, name string) string {
	return vaultPath(vault) + "/secrets/" + url.PathEscape(name)
}
