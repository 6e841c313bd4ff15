//! The secret vault.
pub mod aead; pub mod app; mod blob; pub mod envelope; pub mod id; pub mod key; pub mod secret;
pub use blob::FormatError;
pub use app::*; pub use secret::*; pub use id::*; pub use key::*;
