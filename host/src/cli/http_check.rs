//! `tavora-host tool http-check`: shows the operations that an OpenAPI document compiles to, before
//! the operator lists it.

use std::path::Path;

use serde::Serialize;

use super::outcome::{Failure, usage};
use super::output::{table, visible};
use tavora_openapi::{
    BaseUrl, DocumentLimits, FixedHeaders, HttpConfig, LeftOut, METHODS, Operation, Pattern,
    compile,
};
use tavora_trust::component_file;

/// The result of compiling a document.
#[derive(Serialize)]
pub(crate) struct HttpCheck {
    operations: Vec<Operation>,
    left_out: Vec<LeftOut>,
    /// The number of operations that the patterns do not admit.
    not_allowed: usize,
}

impl HttpCheck {
    /// Compiles the document in a file for these patterns.
    pub(crate) fn of(
        file: &Path,
        allow: Vec<String>,
        limits: &DocumentLimits,
    ) -> Result<Self, Failure> {
        let allow = match allow.is_empty() {
            true => METHODS.map(|method| format!("{method} /**")).to_vec(),
            false => allow,
        };
        let allow: Result<Vec<Pattern>, _> = allow.into_iter().map(Pattern::try_from).collect();
        // The operations do not depend on the API's address, so any address will do.
        let base_url = BaseUrl::try_from("https://localhost".to_owned()).map_err(usage)?;
        let config = HttpConfig {
            base_url,
            credential: None,
            openapi: Some(file.to_owned()),
            allow: allow.map_err(usage)?,
            headers: FixedHeaders::default(),
            agent_headers: Vec::new(),
        };
        let bytes = std::fs::File::open(file)
            .and_then(|file| component_file::read(file, limits.max_document_bytes))
            .map_err(|error| usage(format!("cannot read {}: {error}", file.display())))?;
        let table = compile(&bytes, &config, limits)
            .map_err(|error| usage(format!("{}: {error}", file.display())))?;
        if table.operations.is_empty() {
            let first = table.left_out.first().map(ToString::to_string);
            let first = first.map_or(String::new(), |first| format!("; left out: {first}"));
            return Err(usage(format!(
                "{}: the document has no operation that can be called{}",
                file.display(),
                visible(&first)
            )));
        }
        Ok(Self {
            operations: table.operations,
            left_out: table.left_out,
            not_allowed: table.not_allowed,
        })
    }

    /// Returns the result as text for people.
    pub(crate) fn text(&self) -> String {
        let pattern = |operation: &Operation| {
            let (method, path) = (operation.method, operation.path.as_deref());
            let path = path.unwrap_or_default();
            let segments = path.split('/').map(|segment| {
                let ends = segment.find('{').zip(segment.rfind('}'));
                ends.map_or(segment.to_owned(), |(start, end)| {
                    format!("{}*{}", &segment[..start], &segment[end + 1..])
                })
            });
            let segments: Vec<String> = segments.collect();
            format!("{} {}", method.unwrap_or_default(), segments.join("/"))
        };
        let rows: Vec<_> = self
            .operations
            .iter()
            .map(|operation| [operation.name.clone(), pattern(operation)])
            .collect();
        let mut text = table(["OPERATION", "PATTERN"], &rows, "no operations");
        if !self.left_out.is_empty() {
            text.push_str("\n\nleft out:");
            for left_out in &self.left_out {
                text.push_str(&format!("\n  {}", visible(&left_out.to_string())));
            }
        }
        if self.not_allowed > 0 {
            text.push_str(&format!(
                "\n\nnot allowed by the patterns: {}",
                self.not_allowed
            ));
        }
        text
    }
}
