//! MCP: what agents' files grant, servers that others wrote, and servers that do not keep to the protocol.
//!
//! The component's own logic has its tests beside it, in `guest-tools/mcp-client`.

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
