//! The bindings of the world `agent-sandbox`, generated from `wit/`.
#![allow(missing_docs, unsafe_code, unused_qualifications, clippy::all)]

wit_bindgen::generate!({
    path: "../../wit",
    world: "agent-sandbox",
});
