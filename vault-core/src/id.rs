//! Identifiers of what the vault keeps: UUIDv7 newtypes that cannot be mixed up.
//!
//! An id does not tell which thing it refers to, nor whether the thing still exists.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The text is not a UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} id is not a UUID; write it as 8-4-4-4-12 hexadecimal digits")]
pub struct InvalidId {
    /// The kind of thing that the id would refer to, for example `vault`.
    pub kind: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Makes a new id, ordered by time and unique without coordination.
            pub fn make() -> Self {
                Self(Uuid::now_v7())
            }

            /// The sixteen bytes that are stored and bound to ciphertext.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// Reads an id from its stored bytes.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::try_parse(text).map(Self).map_err(|_| InvalidId { kind: $kind })
            }
        }
    };
}

id!(
    /// The id of an app.
    AppId,
    "app"
);
id!(
    /// The id of a vault.
    VaultId,
    "vault"
);
id!(
    /// The id of an API key, which is also the public part of its token.
    ApiKeyId,
    "API key"
);
id!(
    /// The id of an audit entry.
    AuditEntryId,
    "audit entry"
);
id!(
    /// The id of the team that apps belong to; a database has one.
    TeamId,
    "team"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_and_its_bytes() {
        let id = VaultId::make();
        assert_eq!(id.to_string().parse::<VaultId>().unwrap(), id);
        assert_eq!(VaultId::from_bytes(*id.as_bytes()), id);
        assert_eq!(id.to_string().len(), 36);
        assert_eq!(id.to_string().as_bytes()[14], b'7');
    }

    #[test]
    fn ids_order_by_time_of_making() {
        let ids: Vec<AppId> = (0..1000).map(|_| AppId::make()).collect();
        assert!(ids.is_sorted());
    }

    #[test]
    fn what_is_no_uuid_is_refused_by_kind() {
        let refusal = "nonsense".parse::<VaultId>().unwrap_err();
        assert!(refusal.to_string().starts_with("vault id is not a UUID"));
    }
}
