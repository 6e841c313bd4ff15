//! The rules of a program, in the words in which a model reads them.

pub const IMPORT: &str = "there is no import: a program is the body of an async function. MCP servers are modules: const server = require(NAME); \
                      other tools are called with tools.call(tool, operation, input)";
pub const RESULT: &str = "a program is the body of a function; its result is what it returns";
