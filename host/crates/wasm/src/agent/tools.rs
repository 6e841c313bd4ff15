//! `tavora:platform/tools`: the only interface of an agent. Calls go to trusted tools for the app
//! that the run was started for. Answers are already scrubbed.
//!
//! No secret is resolved and no connection is opened here: both happen in the tools' own instances.

use async_trait::async_trait;
use futures::StreamExt;

use crate::bindings::ToolError;
use crate::bindings::tools::{Host, Json, ToolCall, ToolInfo};
use crate::limits::{AgentLimits, LimitHit};

/// Receives each line that a run logs, as it is written.
pub type LogSink = Box<dyn FnMut(&str) + Send>;

/// The calls of one run.
#[async_trait]
pub trait ToolCalls: Send + Sync {
    /// The tools that the run may call.
    fn granted(&self) -> Vec<ToolInfo>;

    /// Calls one operation of one tool. The outcome is scrubbed.
    async fn call(&self, tool: &str, operation: &str, input: &str) -> Result<Json, ToolError>;
}

/// The tools interface of one run.
pub struct ToolsCapability {
    run: Box<dyn ToolCalls>,
    limits: AgentLimits,
    log: LogSink,
    logged_bytes: usize,
    calls: u32,
}

impl ToolsCapability {
    pub fn new(run: Box<dyn ToolCalls>, limits: AgentLimits, log: LogSink) -> Self {
        Self {
            run,
            limits,
            log,
            logged_bytes: 0,
            calls: 0,
        }
    }

    /// Adds to the count of calls, and ends the run if there are too many. An error alone would not
    /// stop an agent that ignores it.
    fn count(&mut self, calls: usize) -> wasmtime::Result<()> {
        self.calls = self
            .calls
            .saturating_add(u32::try_from(calls).unwrap_or(u32::MAX));
        within_limit(
            self.calls as usize,
            "limits.agent.max_tool_calls",
            self.limits.max_tool_calls as usize,
        )
    }
}

async fn dispatch(
    run: &dyn ToolCalls,
    max_input_bytes: usize,
    call: &ToolCall,
) -> Result<Json, ToolError> {
    if call.input.len() > max_input_bytes {
        return Err(ToolError {
            code: "invalid_input".to_owned(),
            message: format!(
                "the input has {} bytes, and limits.agent.max_input_bytes allows {max_input_bytes}",
                call.input.len()
            ),
        });
    }
    run.call(&call.tool, &call.operation, &call.input).await
}

impl Host for ToolsCapability {
    async fn list(&mut self) -> wasmtime::Result<Vec<ToolInfo>> {
        Ok(self.run.granted())
    }

    async fn call(
        &mut self,
        tool: String,
        operation: String,
        input: Json,
    ) -> wasmtime::Result<Result<Json, ToolError>> {
        self.count(1)?;
        let call = ToolCall {
            tool,
            operation,
            input,
        };
        Ok(dispatch(&*self.run, self.limits.max_input_bytes, &call).await)
    }

    async fn call_all(
        &mut self,
        calls: Vec<ToolCall>,
    ) -> wasmtime::Result<Vec<Result<Json, ToolError>>> {
        self.count(calls.len())?;
        let (to, max_input_bytes) = (&*self.run, self.limits.max_input_bytes);
        let mut running = futures::stream::iter(calls)
            .map(|call| async move { dispatch(to, max_input_bytes, &call).await })
            .buffered(self.limits.max_concurrent_calls.max(1));
        let (mut outcomes, mut answer_bytes) = (Vec::new(), 0usize);
        while let Some(outcome) = running.next().await {
            answer_bytes += match &outcome {
                Ok(json) => json.len(),
                Err(error) => error.code.len() + error.message.len(),
            };
            within_limit(
                answer_bytes,
                "limits.agent.max_answer_bytes",
                self.limits.max_answer_bytes,
            )?;
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    async fn log(&mut self, line: String) -> wasmtime::Result<()> {
        self.logged_bytes = self.logged_bytes.saturating_add(line.len() + 1);
        within_limit(
            self.logged_bytes,
            "limits.agent.max_log_bytes",
            self.limits.max_log_bytes,
        )?;
        (self.log)(&line);
        Ok(())
    }
}

fn within_limit(used: usize, limit: &'static str, allowed: usize) -> wasmtime::Result<()> {
    if used > allowed {
        return Err(LimitHit {
            limit,
            allowed: allowed as u64,
        }
        .into());
    }
    Ok(())
}
