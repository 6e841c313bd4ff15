//! Shows the tools beside the agents' sandbox, so that people can see the isolation: each
//! component's imports, its class, and the operator's grants.
//!
//! The data comes from the inspection of the running components' bytes and from `tavora.toml`.

use std::collections::BTreeSet;

use axum::response::Response;
use maud::{Markup, html};

use super::layout::{Section, code, named};
use super::table::facts;
use super::visit::Visit;
use tavora_platform::{ComponentView, GrantedBy, HttpApiView, OperationView, ToolView};
use tavora_wasm::inspection::Fit;

/// The only interface through which a component can ask for a secret.
const SECRETS: &str = "tavora:platform/secrets";

pub(super) async fn show(visit: Visit) -> Response {
    let platform = visit.ui.api().platform();
    let tools = platform.trusted_tools();
    let sandbox = platform.sandbox();
    let content = html! {
        h1 { "Tools" }
        p.lead {
            "A component can call what it imports and nothing else. Trusted tools import " (code(SECRETS))
            "; the sandbox that runs the agents' code does not, so there is nothing in it that could ask for a secret."
        }
        div.beside {
            (sandbox_panel(sandbox.as_ref(), &tools))
            div.tools {
                @if tools.is_empty() {
                    p.empty { "No trusted tool is loaded. List one in tavora.toml." }
                }
                @for tool in &tools { (tool_panel(tool)) }
            }
        }
    };
    visit.page(Section::Tools, "Tools", content)
}

fn sandbox_panel(sandbox: Option<&ComponentView>, tools: &[ToolView]) -> Markup {
    html! {
        section.panel.sandbox aria-labelledby="sandbox" {
            @match sandbox {
                None => { h2 id="sandbox" { "Agent sandbox" } p { "This host was built without the sandbox, so it runs no agents' JavaScript." } }
                Some(sandbox) => {
                    div.heading { h2 id="sandbox" { "Agent sandbox" } (class(&sandbox.class)) }
                    (verdict(sandbox))
                    (authority(&sandbox.class))
                    (imports(sandbox, &missing(sandbox, tools)))
                    (component_facts(sandbox))
                }
            }
        }
    }
}

fn tool_panel(tool: &ToolView) -> Markup {
    let id = format!("tool-{}", tool.name);
    html! {
        section.panel.trusted aria-labelledby=(id) {
            div.heading { h2 id=(id) { "Tool " (named(&tool.name)) } (class(&tool.component.class)) }
            (verdict(&tool.component))
            (authority(&tool.component.class))
            (imports(&tool.component, &[]))
            h3 { "Granted to it" }
            @match tool.granted_by {
                GrantedBy::AgentFile => { p { "By each agent's file: for each MCP server and HTTP API that it declares, that one's secret, which may be sent to that one's origin and nowhere else." } }
                GrantedBy::Manifest => { (granted(tool)) }
            }
            @if let Some(api) = &tool.http { (http_api(api)) }
            h3 { "Operations" }
            @if tool.operations.is_empty() { p { "Those of each API that an entry declares" } }
            @for operation in &tool.operations { (operation_details(operation)) }
            (component_facts(&tool.component))
        }
    }
}

fn granted(tool: &ToolView) -> Markup {
    facts([
        (
            "Secrets that it uses and does not see",
            list(tool.lent.iter().map(|lent| {
                let slots: Vec<String> = lent.slots.iter().map(ToString::to_string).collect();
                html! { (code(&lent.secret)) " in " (slots.join(" or ")) }
            })),
        ),
        (
            "Secrets that it sees",
            list(tool.revealed.iter().map(|name| {
                html! { (code(name)) " " span.tag.warn { "revealed" } }
            })),
        ),
        (
            "Origins that it may reach",
            list(tool.origins.iter().map(code)),
        ),
        (
            "Secrets bound to origins",
            list(tool.bind.iter().map(|(secret, origins)| {
                html! {
                    (code(secret)) " only to " @for origin in origins { (code(origin)) " " }
                }
            })),
        ),
    ])
}

/// Shows the entry of an HTTP API.
fn http_api(api: &HttpApiView) -> Markup {
    let slot = match &api.slot {
        Some(slot) => slot.to_string(),
        None => "it wants none".to_owned(),
    };
    let left_out = api.left_out.iter().map(code);
    html! {
        h3 { "HTTP API" }
        (facts([
            ("Base URL", code(&api.base_url)),
            ("Slot of its credential", code(&slot)),
            ("Requests that it allows", list(api.allow.iter().map(code))),
            ("Left out of its document", list(left_out)),
        ]))
    }
}

/// Whether the component can ask for a secret at all.
fn verdict(component: &ComponentView) -> Markup {
    html! {
        @if component.imports.iter().any(|name| is_secrets(name)) {
            p.verdict.can { strong { "Imports " (code(SECRETS)) } "It can ask for the secrets that it is granted." }
        } @else {
            p.verdict.cannot { strong { "Does not import " (code(SECRETS)) } "It has nothing to ask for a secret with." }
        }
    }
}

fn imports(component: &ComponentView, missing: &[&str]) -> Markup {
    html! {
        h3 { "Imports" }
        ul.imports {
            @if component.imports.is_empty() { li { "Nothing" } }
            @for name in &component.imports {
                li.key[is_secrets(name)] { (code(name)) }
            }
        }
        @if !missing.is_empty() {
            h3 { "Does not import, though a tool here does" }
            ul.imports.absent {
                @for name in missing { li { (code(name)) } }
            }
        }
    }
}

/// Returns the interfaces that some tool imports and the sandbox does not.
fn missing<'a>(sandbox: &ComponentView, tools: &'a [ToolView]) -> Vec<&'a str> {
    let has = |name: &str| sandbox.imports.iter().any(|it| it == name);
    let mut missing: Vec<&str> = tools
        .iter()
        .flat_map(|tool| &tool.component.imports)
        .map(String::as_str)
        .filter(|name| !has(name))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    missing.sort_by_key(|name| !is_secrets(name));
    missing
}

fn class(class: &Fit) -> Markup {
    html! {
        @match class {
            Fit::Agent => { span.tag.good { "Class: agent" } }
            Fit::NeedsTrust { .. } => { span.tag.warn { "Class: trusted tool" } }
            Fit::NoClass { .. } => { span.tag.bad { "Class: none" } }
        }
    }
}

/// Describes in words what the imports allow.
fn authority(class: &Fit) -> Markup {
    html! {
        h3 { "May, as far as it is granted" }
        ul {
            @match class {
                Fit::Agent => { li { "call tools" } }
                Fit::NeedsTrust { authority } => { @for what in authority { li { (what) } } }
                Fit::NoClass { reasons } => { @for reason in reasons { li { "nothing: " (reason) } } }
            }
        }
    }
}

fn component_facts(component: &ComponentView) -> Markup {
    html! {
        h3 { "Component" }
        (facts([
            ("Digest", code(component.digest)),
            ("Size", html! { (component.size_bytes) " bytes" }),
            ("Exports", list(component.exports.iter().map(code))),
        ]))
    }
}

fn operation_details(operation: &OperationView) -> Markup {
    let schema: serde_json::Value =
        serde_json::from_str(operation.input_schema.get()).unwrap_or_default();
    html! {
        details {
            summary { (code(&operation.name)) }
            p { (named(&operation.description)) }
            pre tabindex="0" aria-label={ "Input of " (operation.name) } { (format!("{schema:#}")) }
        }
    }
}

fn list(items: impl Iterator<Item = Markup>) -> Markup {
    let items: Vec<Markup> = items.collect();
    html! {
        @if items.is_empty() { "None" } @else { ul { @for item in items { li { (item) } } } }
    }
}

fn is_secrets(name: &str) -> bool {
    name.split('@').next() == Some(SECRETS)
}
