//! Who asks for a change, and as part of what. Whether the caller may is decided by the host.

use crate::id::ApiKeyId;

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Whoever operates the host: the command line, or the admin token.
    Operator,
    /// The holder of an API key.
    ApiKey(ApiKeyId),
    /// A trusted tool component.
    Tool {
        /// The name it is configured under.
        name: String,
        /// The digest of its code.
        digest: String,
    },
    /// The host on its own account.
    Host,
}

/// Who asks, and as part of what. Every change takes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub actor: Actor,
    /// The request it is part of.
    pub request_id: Option<String>,
    /// The agent session it is part of.
    pub session_id: Option<String>,
}

impl Caller {
    /// The operator, outside any request.
    pub fn operator() -> Self {
        Self::of(Actor::Operator)
    }

    /// The host on its own account.
    pub fn host() -> Self {
        Self::of(Actor::Host)
    }

    /// The holder of an API key, outside any request.
    pub fn api_key(id: ApiKeyId) -> Self {
        Self::of(Actor::ApiKey(id))
    }

    /// The same as part of a request.
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
