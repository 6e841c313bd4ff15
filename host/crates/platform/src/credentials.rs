//! Turns the manifest's entries about a tool's secrets into grants: whether a secret is lent or
//! revealed, its slot, and the origins that it may go to.

use std::collections::BTreeMap;
use std::sync::Arc;

use vault_core::SecretName;

use super::{StartError, ToolConfig};
use tavora_egress::{Origin, is_forbidden_header};
use tavora_trust::slot::Slot;
use tavora_wasm::tool::secrets::SecretGrants;

/// Returns the grants of a tool that may reach these origins.
///
/// # Errors
/// Fails if `credentials` names a secret that is not lent, or a place where no secret can stand.
pub(super) fn grants(
    tool: &str,
    config: &ToolConfig,
    origins: &[Origin],
    opens: Vec<SecretName>,
) -> Result<SecretGrants, StartError> {
    let mut names = config.secrets.clone();
    for name in &config.reveal {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    if let Some(name) = config.bind.keys().find(|name| !names.contains(name)) {
        return Err(StartError::Bind {
            tool: tool.to_owned(),
            secret: name.to_string(),
        });
    }
    let mut bind = config.bind.clone();
    let mut slots = BTreeMap::new();
    for (name, credential) in &config.credentials {
        let wrong = |reason: String| StartError::Credential {
            tool: tool.to_owned(),
            secret: name.to_string(),
            reason,
        };
        if !names.contains(name) {
            let add = format!("add \"{name}\" to `secrets` in [tools.{tool}]");
            return Err(wrong(format!("the tool may not use this secret; {add}")));
        }
        if config.reveal.contains(name) || opens.contains(name) {
            let reason = "the tool sees this secret, and puts it where it wants; leave out `reveal` or this section";
            return Err(wrong(reason.to_owned()));
        }
        if let Slot::Header { name: header, .. } = &credential.slot
            && is_forbidden_header(header)
        {
            let reason = format!("the header {header} is set by the host; name another one");
            return Err(wrong(reason));
        }
        slots.insert(name.clone(), credential.slot.clone());
        let Some(only) = &credential.origins else {
            continue;
        };
        if let Some(other) = only.iter().find(|origin| !origins.contains(origin)) {
            let add = format!("add it to `origins` in [tools.{tool}]");
            return Err(wrong(format!("the tool may not reach {other}; {add}")));
        }
        let bound = bind.entry(name.clone()).or_insert_with(|| only.clone());
        bound.retain(|origin| only.contains(origin));
    }
    Ok(SecretGrants {
        names: names.into(),
        bind: Arc::new(bind),
        opens: opens.into(),
        reveal: config.reveal.clone().into(),
        slots: Arc::new(slots),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(manifest: &str) -> Result<SecretGrants, String> {
        let config: ToolConfig = toml::from_str(manifest).map_err(|error| error.to_string())?;
        let origins = config.origins.clone();
        grants("mine", &config, &origins, Vec::new()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_secret_is_lent_unless_it_is_revealed() {
        let grants = of("secrets = [\"a\", \"b\"]\nreveal = [\"b\", \"c\"]\n[credentials.a]\nslot = { query = \"key\" }").expect("valid");
        let name = |name: &str| name.parse::<SecretName>().expect("valid");
        assert_eq!(*grants.names, [name("a"), name("b"), name("c")]);
        let revealed = |it: &str| grants.is_revealed(&name(it));
        assert_eq!(
            (revealed("a"), revealed("b"), revealed("c")),
            (false, true, true)
        );
        let slot = Slot::query("key").expect("valid");
        assert_eq!(grants.slots_of(&name("a")), [slot]);
        assert_eq!(grants.slots_of(&name("d")), [Slot::Bearer, Slot::Basic]);
    }

    #[test]
    fn the_origins_of_a_secret_are_those_that_every_line_admits() {
        let grants = of("secrets = [\"a\"]\norigins = [\"https://a.example\", \"https://b.example\"]\nbind = { a = [\"https://b.example\"] }\n[credentials.a]\nslot = \"bearer\"\norigins = [\"https://a.example\"]").expect("valid");
        let (_, bound) = grants.bind.iter().next().expect("it is bound");
        assert_eq!(*bound, []);
    }

    #[test]
    fn what_cannot_be_is_refused_in_words() {
        let two = "secrets = [\"a\"]\n[credentials.a]\n";
        for (manifest, says) in [
            (
                "[credentials.a]\nslot = \"bearer\"",
                "add \"a\" to `secrets` in [tools.mine]",
            ),
            (
                "bind = { a = [] }",
                "[tools.mine] bind: the tool may not use \"a\"; add it to `secrets`",
            ),
            (
                "reveal = [\"a\"]\n[credentials.a]\nslot = \"bearer\"",
                "leave out `reveal`",
            ),
            (
                &format!("{two}slot = {{ header = \"Proxy-Authorization\" }}"),
                "is set by the host",
            ),
            (
                &format!("{two}slot = \"bearer\"\norigins = [\"https://a.example\"]"),
                "may not reach https://a.example",
            ),
            (&format!("{two}slot = \"cookie\""), "a slot is one of"),
            (two, "missing field `slot`"),
        ] {
            let refused = of(manifest).map(drop).expect_err(manifest);
            assert!(refused.contains(says), "{refused}");
        }
    }
}
