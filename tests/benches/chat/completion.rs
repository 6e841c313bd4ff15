//! The answer of the upstream, which the client looks for.

/// A part of the completion that no relay has a reason to change.
pub const COMPLETION: &str = "Hello! How can I help you today?";

/// The event of every stream.
pub const EVENT: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"},\"finish_reason\":null}]}\n\n";

/// The end of a stream.
pub const DONE: &str = "data: [DONE]\n\n";
