//! The local provider, which is the model for the others.

use vault_core::LocalKek;

use crate::conformance;

#[tokio::test]
async fn local_keys_keep_the_contract() {
    let [kek, other] = [(); 2].map(|()| LocalKek::parse(&LocalKek::make_text()).unwrap());
    conformance::check(&kek, &other).await;
}
