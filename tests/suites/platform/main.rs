//! The promises of the whole platform, shown on real components in a real runtime, over real HTTP
//! on loopback.

mod bad_input;
mod bound_secrets;
mod canary;
mod command_line;
mod demo_and_example;
mod documentation;
mod egress;
mod guest_memory;
mod host_credentials;
mod hostile_guests;
mod http_api_bad_input;
mod http_apis;
mod kek_commands;
mod lent_secrets;
mod limits;
mod openapi_documents;
mod other_users;
mod sandbox;
mod scrubbing;
mod search_limits;
mod snapshots;
mod telemetry;
mod template;
mod tool_log;
mod worker;
mod workspace;
