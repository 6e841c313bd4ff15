//! Trusted tool `bench-probe`: resolves a secret the requested number of times and does nothing
//! with it. The benches use it to measure `secrets.resolve` as a guest sees it. The host does not
//! embed it.

use trusted_tool::bindings::tavora::platform::secrets::resolve;
use trusted_tool::{Guest, Operation, ToolError, tool_error};
use zeroize::Zeroize;

/// The secret that the tool resolves.
const SECRET: &str = "probe";

struct BenchProbe;

impl Guest for BenchProbe {
    fn describe() -> Vec<Operation> {
        ["nothing", "resolve_once", "resolve_100", "resolve_1000"]
            .map(|name| Operation {
                name: name.to_owned(),
                description: "For the benches.".to_owned(),
                input_schema: r#"{"type": "object"}"#.to_owned(),
            })
            .into()
    }

    fn call(operation: String, _input: String) -> Result<String, ToolError> {
        let times = match operation.as_str() {
            "nothing" => 0,
            "resolve_once" => 1,
            "resolve_100" => 100,
            "resolve_1000" => 1000,
            other => return Err(tool_error("unknown_operation", other)),
        };
        for _ in 0..times {
            let mut value =
                resolve(SECRET).map_err(|_| tool_error("vault_unavailable", "no secret"))?;
            value.zeroize();
        }
        Ok("{}".to_owned())
    }
}

#[allow(missing_docs, unsafe_code)]
mod component {
    trusted_tool::export!(BenchProbe with_types_in trusted_tool::bindings);
    use super::BenchProbe;
}
