//! The caller of a change, and the request or session that it is part of. The host decides whether
//! the caller may make the change.

use crate::id::ApiKeyId;

/// The kind of a caller, with its identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// The operator of the host, on the command line or with the admin token.
    Operator,
    /// The holder of an API key.
    ApiKey(ApiKeyId),
    /// A trusted tool component.
    Tool {
        /// The name that the tool is configured under.
        name: String,
        /// The digest of the tool's code.
        digest: String,
    },
    /// The host itself, asked by nobody.
    Host,
}

/// The caller of a change, and the request or session that it is part of. Every change takes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The person or program that makes the change.
    pub actor: Actor,
    /// The request that the change is part of.
    pub request_id: Option<String>,
    /// The agent session that the change is part of.
    pub session_id: Option<String>,
}

impl Caller {
    /// The operator, outside any request.
    pub fn operator() -> Self {
        Self::of(Actor::Operator)
    }

    /// The host itself, asked by nobody.
    pub fn host() -> Self {
        Self::of(Actor::Host)
    }

    /// The holder of an API key, outside any request.
    pub fn api_key(id: ApiKeyId) -> Self {
        Self::of(Actor::ApiKey(id))
    }

    /// Returns the same caller as part of a request.
    pub fn in_request(mut self, request_id: impl Into<String>) -> Self {
        self.request_id = Some(request_id.into());
        self
    }

    fn of(actor: Actor) -> Self {
        Self {
            actor,
            request_id: None,
            session_id: None,
        }
    }
}
