//! Generated from the contract.

wit_bindgen::generate!({ path: "../wit", world: "trusted-tool", generate_all });
