//! A stand-in for the host's `secrets`, for authors of tools. The secret `NAME` has the value that
//! the configuration has under `NAME`.
//!
//! It has no vault, no grants and no audit, and the host never uses it. It is composed with a tool
//! so that the plain `wasmtime` command can run it.

#[allow(missing_docs, unsafe_code, unused_qualifications, clippy::all)]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "dev-secrets",
        generate_all,
    });
    export!(DevSecrets);
    use super::DevSecrets;
}

use bindings::exports::tavora::platform::secrets::{Guest, ResolveError};
use bindings::wasi::config::store;

struct DevSecrets;

impl Guest for DevSecrets {
    fn resolve(name: String) -> Result<String, ResolveError> {
        released(store::get(&name).map_err(drop))
    }
}

/// The configured value as a secret. An empty value is no secret: no tool ever runs with an empty
/// credential.
fn released(configured: Result<Option<String>, ()>) -> Result<String, ResolveError> {
    match configured {
        Ok(Some(value)) if !value.is_empty() => Ok(value),
        Ok(_) => Err(ResolveError::NotFound),
        Err(()) => Err(ResolveError::Unavailable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_value_that_is_not_empty_is_released() {
        assert_eq!(
            released(Ok(Some("v".to_owned()))).ok().as_deref(),
            Some("v")
        );
        assert!(matches!(
            released(Ok(Some(String::new()))),
            Err(ResolveError::NotFound)
        ));
        assert!(matches!(released(Ok(None)), Err(ResolveError::NotFound)));
        assert!(matches!(released(Err(())), Err(ResolveError::Unavailable)));
    }
}
