//! The end of a load run: compares what the host kept with what it acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use axum::http::Method;
use serde_json::{Value, json};

use super::connection::{Call, Connection, Laps};
use super::ledger::{list, same};
use super::tenant::{Commons, Tenant};
use super::together::together;
use crate::serving::Serving;

/// The entries that belong to no app: the first use of the KEK.
const PLATFORM_ENTRIES: u64 = 1;

/// The number of things that were compared.
pub struct Reckoned {
    /// The entries of the audit.
    pub entries: u64,
    /// The secrets.
    pub secrets: u64,
}

/// Checks that every operation of the OpenAPI document was asked for.
pub async fn check_coverage(tenant: &mut Tenant, laps: &Laps) -> Result<()> {
    let call = Call::new(Method::GET, "/openapi.json", &[]);
    let document = tenant.app_call(200, call).await?.json()?;
    let paths = document["paths"].as_object().context("it has no paths")?;
    let operations = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flat_map(|item| item.keys());
        methods.map(move |method| (method, path))
    });
    let missed: Vec<_> = operations
        .filter(|(method, path)| !laps.has(method, path))
        .collect();
    ensure!(missed.is_empty(), "the load does not ask for {missed:?}");
    Ok(())
}

/// Stops the host, verifies its audit, starts it again and asks for everything that it
/// acknowledged.
pub async fn reckon(
    serving: &mut Serving,
    tenants: Vec<Tenant>,
    commons: Arc<Commons>,
) -> Result<Reckoned> {
    serving.halt();
    let verified = verify(serving)?;
    let common = tenants.iter().flat_map(|tenant| &tenant.common_versions);
    let common = last_versions(common.copied())?;
    let of_tenant = |tenant: &Tenant| {
        let vaults = tenant.ledger.vaults.iter();
        let secrets: usize = vaults.map(|vault| vault.secrets.len()).sum();
        let others = (tenant.made_apps.len() + tenant.common_versions.len()) as u64;
        let entries = tenant.ledger.entries_total() + tenant.platform_entries + others;
        (entries, secrets)
    };
    let (entries, secrets): (Vec<u64>, Vec<usize>) = tenants.iter().map(of_tenant).unzip();
    let entries = entries.iter().sum::<u64>() + Commons::ENTRIES + PLATFORM_ENTRIES;
    let secrets = (secrets.iter().sum::<usize>() + common.len()) as u64;
    same(
        "entries of the audit",
        &verified["entries"],
        &json!(entries),
    )?;
    same(
        "secrets in the store",
        &verified["secrets"],
        &json!(secrets),
    )?;

    serving.start_again();
    let address = serving.address;
    let mut connection = Connection::open(address).await?;
    let call = Call::new(
        Method::GET,
        "/api/sdk/secret-vaults/{id}/secrets",
        &[&commons.vault_id],
    );
    let call = call.api_key(&commons.key);
    let answer = connection.expect(200, call).await?.json()?;
    let shown = list(&answer, "secrets")?.iter();
    let shown = shown.map(|secret| json!([secret["name"], secret["version"]]));
    let expected = common.iter().map(|common| json!(common));
    same("the common secrets", &shown.collect(), &expected.collect())?;

    together(tenants.into_iter().map(|mut tenant| async move {
        tenant.reconnect(address).await?;
        let number = tenant.number;
        let compared = compare(tenant).await;
        compared.with_context(|| format!("tenant {number} at the end"))
    }))
    .await?;
    Ok(Reckoned { entries, secrets })
}

/// The output of `tavora-host audit verify`, which must find nothing wrong.
fn verify(serving: &Serving) -> Result<Value> {
    let ended = serving.run(&["audit", "verify", "--json"]);
    ensure!(ended.status == 0, "the audit does not verify: {ended:?}");
    Ok(serde_json::from_str(&ended.stdout)?)
}

/// The last version of each common secret. Each version must have been acknowledged once, with none
/// left out.
fn last_versions(
    given: impl Iterator<Item = (&'static str, u64)>,
) -> Result<BTreeMap<&'static str, u64>> {
    let mut versions: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for (name, version) in given {
        versions.entry(name).or_default().push(version);
    }
    let mut last = BTreeMap::new();
    for (name, mut versions) in versions {
        versions.sort_unstable();
        let count = versions.len() as u64;
        let is_each_once = versions.iter().copied().eq(1..=count);
        ensure!(is_each_once, "the versions of {name} were {versions:?}");
        last.insert(name, count);
    }
    Ok(last)
}

/// Compares the host's state of an app with the app's ledger. Then the search tool resolves its
/// secret from each of the app's vaults.
async fn compare(mut tenant: Tenant) -> Result<()> {
    tenant.list_vaults().await?;
    tenant.list_api_keys().await?;
    tenant.list_apps().await?;
    for vault in 0..tenant.ledger.vaults.len() {
        tenant.list_secrets(vault).await?;
    }
    let expected: Vec<_> = tenant.ledger.entries().collect();
    for (action, entries) in expected {
        let query = format!("action={action}&limit=1");
        let found = tenant.audit_total(&query).await?;
        same(action, &found, &json!(entries))?;
    }
    tenant.search().await?;
    for vault in 0..tenant.ledger.vaults.len() {
        let id = tenant.ledger.vaults[vault].id.clone();
        tenant.designate(Some(id)).await?;
        tenant.search().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_was_given_twice_or_never_is_found() {
        let last = |given: &[(&'static str, u64)]| last_versions(given.iter().copied());
        let fine = last(&[("a", 2), ("b", 1), ("a", 1)]).expect("each once");
        assert_eq!(fine.into_iter().collect::<Vec<_>>(), [("a", 2), ("b", 1)]);
        assert!(last(&[("a", 1), ("a", 1)]).is_err(), "twice");
        assert!(last(&[("a", 1), ("a", 3)]).is_err(), "a lost update");
        assert!(last(&[("a", 2)]).is_err(), "the first was never seen");
    }
}
