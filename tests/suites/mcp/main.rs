//! MCP: what agents' files grant, foreign servers, and servers that break the protocol.
//!
//! The component's own tests are in `guest-tools/mcp-client`.

mod bad_servers;
mod credentials;
mod doors;
mod fixture;
mod foreign;
mod foreign_servers;
mod grants;
mod modules;
mod nearly_right;
mod revisions;
mod scripted;
