//! HTTP APIs as tools, without code. `[tools.NAME.http]` and the `http` of an `agent.jsonc` declare
//! an API. The API's OpenAPI document is compiled into a table of operations.
//!
//! The crate sends no request and reads no file. It gives the component `http-api` its settings as
//! texts. The component checks each request against them. Egress then checks what leaves.

mod base_url;
mod budget;
mod compile;
mod config;
mod document;
mod entry;
mod header;
mod input_schema;
mod json;
mod limits;
mod name;
mod operation;
mod parameter;
mod pattern;
mod plain_request;
mod reference;
mod request_body;
mod schema;
mod table;
mod yaml;

pub use self::base_url::{BaseUrl, BaseUrlError};
pub use self::budget::DocumentError;
pub use self::compile::compile;
pub use self::config::{CredentialConfig, CredentialError, HttpConfig};
pub use self::entry::{ApiError, HttpApi};
pub use self::header::{AgentHeader, FixedHeaders, HeaderError};
pub use self::limits::DocumentLimits;
pub use self::pattern::{METHODS, Pattern, PatternError};
pub use self::table::{LeftOut, Operation, Table};
