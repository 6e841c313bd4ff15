//! moto's KMS on loopback: keys with ARNs, and ciphertexts that are bound to their encryption
//! context.
//!
//! moto accepts any credential and lets disabled keys work. A proxy imitates what real KMS answers
//! then.

use std::process::Command;

use serde_json::{Value, json};
use tavora_tests::requirement;
use tavora_tests::wire::Request;

use crate::server::{Server, python_program};

pub struct Moto {
    pub server: Server,
}

impl Moto {
    /// Starts the server; `None` where tests may skip.
    pub fn start() -> Option<Self> {
        let moto = python_program("moto", "moto_server");
        if !requirement::are_there(&[("moto", moto.exists())]) {
            return None;
        }
        let server = Server::start(
            |address| {
                let mut command = Command::new(moto);
                command
                    .args(["-H", &address.ip().to_string()])
                    .args(["-p", &address.port().to_string()]);
                command
            },
            "/moto-api/data.json",
        );
        Some(Self { server })
    }

    /// Makes a key and returns its ARN.
    pub fn make_key(&self) -> String {
        let made = self.call("CreateKey", &json!({}));
        made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
    }

    fn call(&self, operation: &str, body: &Value) -> Value {
        let request = Request::new("POST", "/")
            .header("x-amz-target", format!("TrentService.{operation}"))
            .header("content-type", "application/x-amz-json-1.1")
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=tests/20260101/us-east-1/kms/aws4_request, SignedHeaders=host, Signature=0",
            )
            .body(body.to_string());
        let answer = self.server.send(&request);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }
}
