//! The requirements of every store, tested through the public door. A new store is one more line in
//! `on_every_store`.

mod apps;
mod audit;
mod fixture;
mod revisions;
mod secrets;

macro_rules! on_every_store {
    ($($topic:ident::$test:ident)*) => {
        on_store! { sqlite $($topic::$test)* }
        on_store! { postgres $($topic::$test)* }
    };
}

macro_rules! on_store {
    ($store:ident $($topic:ident::$test:ident)*) => {
        mod $store {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                if let Some(empty) = crate::fixture::$store().await {
                    super::$topic::$test(empty.store.clone()).await;
                }
            })*
        }
    };
}

on_every_store! {
    apps::apps_have_unique_slugs
    apps::api_keys_authenticate_until_revoked_or_expired
    apps::a_key_that_would_be_refused_from_the_start_is_not_created
    apps::vaults_belong_to_one_app
    secrets::secrets_are_versioned_and_listed_by_name
    secrets::designation_decides_what_is_released
    secrets::a_deleted_vault_takes_everything_with_it
    secrets::concurrent_puts_all_count
    secrets::without_a_kek_everything_else_works
    secrets::origins_come_with_the_release
    secrets::a_closed_store_refuses
    revisions::a_secret_changes_only_on_its_condition
    revisions::a_secret_that_comes_back_is_another
    revisions::a_vault_changes_only_on_its_condition
    revisions::one_of_many_with_the_same_revision_wins
    revisions::who_sets_no_condition_is_not_refused
    audit::everything_is_audited
    audit::the_audit_can_be_queried
    audit::an_export_has_all_that_was_there_when_it_began
    audit::the_host_records_its_own_and_not_the_vaults
    audit::an_api_key_acts_on_its_own_behalf_too
    audit::what_cannot_be_read_back_is_not_recorded
    audit::a_zero_character_harms_no_entry
}
