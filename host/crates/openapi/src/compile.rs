//! Compiles a document into a table. The table holds an operation for each one that `allow` admits
//! and that can be called, and a reason for each one that `allow` admits but that cannot be called.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::budget::DocumentError;
use crate::config::HttpConfig;
use crate::operation::Found;
use crate::pattern::METHODS;
use crate::reference::References;
use crate::table::{LeftOut, Table};
use crate::{DocumentLimits, document, name};

/// Compiles a document for an API's entry.
///
/// # Errors
/// Fails if the document cannot be used, or if `allow` admits too much of it.
pub fn compile(
    bytes: &[u8],
    config: &HttpConfig,
    limits: &DocumentLimits,
) -> Result<Table, DocumentError> {
    let document = document::read(bytes, limits)?;
    let references = References::new(&document, limits.max_ref_depth);
    let mut table = Table::default();
    let admitted = admitted(&document, references, config, &mut table);
    if admitted.len() > limits.max_operations {
        return Err(DocumentError::TooManyOperations {
            count: admitted.len(),
            allowed: limits.max_operations,
        });
    }
    let mut bytes_left = limits.max_table_bytes;
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for found in admitted {
        let request = format!("{} {}", found.method, found.path);
        let compiled = match names.get(&found.name) {
            Some(first) => Err(format!(
                "its name {} is that of {first}; operations have names of their own",
                found.name
            )),
            None => found.compile(references, config, limits),
        };
        match compiled {
            Ok(operation) => {
                names.insert(operation.name.clone(), request);
                let length = operation.input_schema.len() + operation.request.len();
                let left = bytes_left.checked_sub(length);
                bytes_left = left.ok_or(DocumentError::TableTooLong(limits.max_table_bytes))?;
                table.operations.push(operation);
            }
            Err(reason) => table.left_out.push(LeftOut {
                method: found.method,
                path: found.path.to_owned(),
                reason,
            }),
        }
    }
    Ok(table)
}

/// Returns the operations that a line of `allow` may admit, in the order of the document.
fn admitted<'d>(
    document: &'d Value,
    references: References<'d>,
    config: &HttpConfig,
    table: &mut Table,
) -> Vec<Found<'d>> {
    let mut admitted = Vec::new();
    let paths = document.get("paths").and_then(Value::as_object);
    for (path, written) in paths.into_iter().flatten() {
        // OpenAPI's extensions have keys that begin with `x-`.
        if path.starts_with("x-") {
            continue;
        }
        let may_admit = |method: &str| config.allow.iter().any(|it| it.may_admit(method, path));
        let of_path = match references.resolve(written) {
            Ok(of_path) => of_path,
            Err(error) => {
                if let Some(method) = METHODS.into_iter().find(|method| may_admit(method)) {
                    table.left_out.push(LeftOut {
                        method,
                        path: path.clone(),
                        reason: error.to_string(),
                    });
                }
                continue;
            }
        };
        for method in METHODS {
            let Some(operation) = of_path.get(method.to_ascii_lowercase()) else {
                continue;
            };
            if !may_admit(method) {
                table.not_allowed += 1;
                continue;
            }
            let id = operation.get("operationId").and_then(Value::as_str);
            let name = id.and_then(name::of_id);
            admitted.push(Found {
                name: name.unwrap_or_else(|| name::of_request(method, path)),
                method,
                path,
                of_path,
                operation,
            });
        }
    }
    admitted
}

#[cfg(test)]
mod tests;
