//! Requests of an app to the host under load: vaults, secrets, the audit and programs. Requests to
//! models are in `models`, the operator's in `operator`.

use anyhow::{Context, Result, ensure};
use axum::http::Method;
use serde_json::{Value, json};
use vault_core::audit::action;

use super::connection::{Answer, Call};
use super::ledger::{Secret, list, same};
use super::mix::Step;
use super::tenant::{Commons, MODEL_SECRET, Tenant};
use crate::fixture::SEARCH_SECRET;

const VAULT: &str = "/api/sdk/secret-vaults/{id}";
const SECRETS: &str = "/api/sdk/secret-vaults/{id}/secrets";
const SECRET: &str = "/api/sdk/secret-vaults/{id}/secrets/{name}";
const AUDIT_LOG: &str = "/api/sdk/audit-log";
const EXECUTE: &str = "/api/sdk/sandbox/execute";

/// The names of an app's secrets.
const NAMES: [&str; 9] = [
    "a",
    "B_2",
    "db.password",
    "token-1",
    "token-2",
    "x",
    "_z",
    SEARCH_SECRET,
    MODEL_SECRET,
];

/// The names of the common secrets.
const COMMON_NAMES: [&str; 3] = ["common-1", "common-2", "common-3"];

/// The largest number of an app's vaults.
const VAULTS_MAX: usize = 3;

/// A program that searches.
const SEARCH: &str = "return search(input.query).map(result => result.title)";

impl Tenant {
    /// Carries out one step.
    pub(super) async fn take(&mut self, step: Step, commons: &Commons) -> Result<()> {
        match step {
            Step::ShowApp => self.show_app().await,
            Step::ShowDesignation => self.show_designation().await,
            Step::Designate => {
                let choice = self.pick(self.ledger.vaults.len() * 2 + 1);
                let vault = self.ledger.vaults.get(choice / 2);
                self.designate(vault.map(|vault| vault.id.clone())).await
            }
            Step::ListVaults => self.list_vaults().await,
            Step::ShowVault => self.show_vault().await,
            Step::CreateOrDeleteVault => match self.ledger.vaults.len() {
                VAULTS_MAX.. => self.delete_vault().await,
                _ => self.create_vault().await,
            },
            Step::CreateVaultTwice => self.create_vault_twice().await,
            Step::UpdateVault => self.update_vault().await,
            Step::ListSecrets => {
                let vault = self.some_vault();
                self.list_secrets(vault).await
            }
            Step::PutSecret => {
                let (vault, name) = (self.some_vault(), self.some_name());
                self.put(vault, name).await
            }
            Step::PutSecretInTurn => self.put_in_turn().await,
            Step::PutSecretOutOfTurn => self.put_out_of_turn().await,
            Step::PutCommonSecret => self.put_common(commons).await,
            Step::DeleteSecret => {
                let (vault, name) = (self.some_vault(), self.some_name());
                self.delete(vault, name).await
            }
            Step::ReadAudit => self.read_audit().await,
            Step::ExportAudit => self.export_audit().await,
            Step::ListTools => self.list_tools().await,
            Step::Compute => self.compute().await,
            Step::Search => self.search().await,
            Step::CompleteChat => self.complete_chat().await,
            Step::ListModels => self.list_models().await,
            Step::BeRefused => self.be_refused(commons).await,
            Step::Operate => self.operate().await,
            Step::CreateOrRevokeApiKey => self.create_or_revoke_api_key().await,
            Step::CreateApp => self.create_app().await,
            Step::Inspect => self.inspect().await,
            Step::WalkSecrets => self.walk_secrets().await,
            Step::Probe => self.probe().await,
            Step::VisitPage => self.visit_page().await,
        }
    }

    fn some_vault(&mut self) -> usize {
        self.pick(self.ledger.vaults.len())
    }

    fn some_name(&mut self) -> &'static str {
        NAMES[self.pick(NAMES.len())]
    }

    fn vault_id(&self, vault: usize) -> String {
        self.ledger.vaults[vault].id.clone()
    }

    async fn show_app(&mut self) -> Result<()> {
        let path = ["/api/sdk/app", "/api/sdk/project"][self.pick(2)];
        let answer = self
            .app_call(200, Call::new(Method::GET, path, &[]))
            .await?;
        self.ledger.check_app(&answer.json()?)
    }

    fn designation_path(&mut self) -> &'static str {
        ["/api/sdk/app/vault", "/api/sdk/project/vault"][self.pick(2)]
    }

    async fn show_designation(&mut self) -> Result<()> {
        let call = Call::new(Method::GET, self.designation_path(), &[]);
        let answer = self.app_call(200, call).await?.json()?;
        let expected = json!({ "vault_id": self.ledger.designated });
        same("the designation", &answer, &expected)
    }

    pub(super) async fn designate(&mut self, vault_id: Option<String>) -> Result<()> {
        let body = json!({ "vault_id": vault_id });
        let call = Call::new(Method::PUT, self.designation_path(), &[]).json(&body);
        let answer = self.app_call(200, call).await?.json()?;
        self.ledger.acknowledge(match &vault_id {
            Some(_) => action::VAULT_DESIGNATED,
            None => action::DESIGNATION_CLEARED,
        });
        self.ledger.designated = vault_id;
        same("the new designation", &answer, &body)
    }

    pub(super) async fn list_vaults(&mut self) -> Result<()> {
        let call = Call::new(Method::GET, "/api/sdk/secret-vaults", &[]);
        let answer = self.app_call(200, call).await?;
        self.ledger.check_vaults(&answer.json()?)
    }

    async fn show_vault(&mut self) -> Result<()> {
        let vault = self.some_vault();
        let call = Call::new(Method::GET, VAULT, &[&self.vault_id(vault)]);
        let answer = self.app_call(200, call).await?;
        self.ledger.vaults[vault].check(&answer.json()?)
    }

    async fn delete_vault(&mut self) -> Result<()> {
        let vault = self.ledger.vaults.pop().expect("there are enough");
        let call = Call::new(Method::DELETE, VAULT, &[&vault.id]);
        self.app_call(204, call).await?;
        self.ledger.acknowledge(action::VAULT_DELETED);
        if self.ledger.designated.as_ref() == Some(&vault.id) {
            self.ledger.designated = None;
        }
        let gone = Call::new(Method::GET, VAULT, &[&vault.id]);
        self.app_call(404, gone).await.map(drop)
    }

    async fn create_vault_twice(&mut self) -> Result<()> {
        let vault = self.some_vault();
        let body = json!({ "name": self.ledger.vaults[vault].name });
        let call = Call::new(Method::POST, "/api/sdk/secret-vaults", &[]).json(&body);
        let answer = self.app_call(409, call).await?.json()?;
        same("the code", &answer["code"], &json!("vault_name_taken"))
    }

    async fn update_vault(&mut self) -> Result<()> {
        let (vault, metadata) = (self.some_vault(), json!({ "note": self.unique("note") }));
        let call = Call::new(Method::PATCH, VAULT, &[&self.vault_id(vault)])
            .json(&json!({ "metadata": metadata }));
        let answer = self.app_call(200, call).await?;
        self.ledger.acknowledge(action::VAULT_UPDATED);
        let vault = &mut self.ledger.vaults[vault];
        vault.metadata = metadata;
        vault.check(&answer.json()?)
    }

    pub(super) async fn list_secrets(&mut self, vault: usize) -> Result<()> {
        let call = Call::new(Method::GET, SECRETS, &[&self.vault_id(vault)]);
        let answer = self.app_call(200, call).await?;
        self.ledger.vaults[vault].check_secrets(&answer.json()?)
    }

    pub(super) async fn put(&mut self, vault: usize, name: &'static str) -> Result<()> {
        self.put_if(vault, name, |call| call).await
    }

    async fn put_in_turn(&mut self) -> Result<()> {
        let (vault, name) = (self.some_vault(), self.some_name());
        match self.ledger.vaults[vault].secrets.get(name).cloned() {
            Some(old) => {
                self.put_if(vault, name, |call| call.if_match(&old.etag))
                    .await
            }
            None => self.put(vault, name).await,
        }
    }

    async fn put_if(
        &mut self,
        vault: usize,
        name: &'static str,
        condition: impl FnOnce(Call) -> Call,
    ) -> Result<()> {
        let value = self.unique("value");
        let call = Call::new(Method::PUT, SECRET, &[&self.vault_id(vault), name]);
        let call = condition(call.json(&json!({ "value": value })));
        let answer = self.app_call(200, call).await?;
        self.ledger.acknowledge(action::SECRET_PUT);
        let secrets = &mut self.ledger.vaults[vault].secrets;
        let version = secrets.get(name).map_or(0, |secret| secret.version) + 1;
        let etag = answer.etag()?;
        let put = Secret {
            value,
            version,
            etag,
        };
        secrets.insert(name.to_owned(), put);
        same("the version", &answer.json()?["version"], &json!(version))
    }

    async fn put_out_of_turn(&mut self) -> Result<()> {
        let (vault, name) = (self.some_vault(), self.some_name());
        let of_no_version = "\"00000000000000000000000000000000\"";
        let call = Call::new(Method::PUT, SECRET, &[&self.vault_id(vault), name])
            .if_match(of_no_version)
            .json(&json!({ "value": self.unique("never-stored") }));
        let answer = self.app_call(412, call).await?.json()?;
        same("the code", &answer["code"], &json!("precondition_failed"))
    }

    async fn put_common(&mut self, commons: &Commons) -> Result<()> {
        let name = COMMON_NAMES[self.pick(COMMON_NAMES.len())];
        let call = Call::new(Method::PUT, SECRET, &[&commons.vault_id, name])
            .api_key(&commons.key)
            .json(&json!({ "value": self.unique("common") }));
        let answer = self.connection.expect(200, call).await?.json()?;
        let version = answer["version"].as_u64().context("it has no version")?;
        self.common_versions.push((name, version));
        Ok(())
    }

    pub(super) async fn delete(&mut self, vault: usize, name: &str) -> Result<()> {
        let call = Call::new(Method::DELETE, SECRET, &[&self.vault_id(vault), name]);
        self.app_call(204, call).await?;
        // Deleting a missing secret is recorded too.
        self.ledger.acknowledge(action::SECRET_DELETED);
        self.ledger.vaults[vault].secrets.remove(name);
        Ok(())
    }

    async fn read_audit(&mut self) -> Result<()> {
        let total = self.ledger.entries_total();
        same(
            "entries",
            &self.audit_total("limit=20").await?,
            &json!(total),
        )
    }

    /// The number of the app's audit entries that match `query`.
    pub(super) async fn audit_total(&mut self, query: &str) -> Result<Value> {
        let call = Call::new(Method::GET, AUDIT_LOG, &[]).query(query);
        let answer = self.app_call(200, call).await?.json()?;
        Ok(answer["total"].clone())
    }

    async fn export_audit(&mut self) -> Result<()> {
        let total = usize::try_from(self.ledger.entries_total())?;
        let is_csv = self.pick(2) == 0;
        let query = if is_csv { "format=csv" } else { "format=json" };
        let call = Call::new(Method::GET, "/api/sdk/audit-log/export", &[]).query(query);
        let answer = self.app_call(200, call).await?;
        let exported = match is_csv {
            // No entry has a field with several lines.
            true => String::from_utf8_lossy(&answer.body).lines().count() - 1,
            false => serde_json::from_slice::<Vec<Value>>(&answer.body)?.len(),
        };
        ensure!(exported == total, "exported {exported} entries of {total}");
        Ok(())
    }

    async fn list_tools(&mut self) -> Result<()> {
        let call = Call::new(Method::GET, "/api/sdk/tools", &[]);
        let answer = self.app_call(200, call).await?.json()?;
        let is_there = self.ledger.designated_secret(SEARCH_SECRET).is_some();
        let credential = json!({ "name": SEARCH_SECRET, "present": is_there });
        let tools = list(&answer, "tools")?;
        same("the credential", &tools[0]["credentials"][0], &credential)
    }

    async fn execute(&mut self, code: &str, input: Value) -> Result<Answer> {
        let body = json!({ "code": code, "input": input });
        let call = Call::new(Method::POST, EXECUTE, &[]).json(&body);
        self.app_call(200, call).await
    }

    async fn compute(&mut self) -> Result<()> {
        let number = self.pick(1_000);
        let answer = self.execute("return input + 1", json!(number)).await?;
        same("the sum", &answer.json()?["result"], &json!(number + 1))
    }

    /// Runs a search. The designated vault and its secrets determine the expected answer and
    /// credential.
    pub(super) async fn search(&mut self) -> Result<()> {
        let query = self.unique("query");
        let answer = self.execute(SEARCH, json!({ "query": query })).await?;
        let answer = answer.json()?;
        self.ledger.acknowledge(action::SECRET_RELEASED);
        let seen = self.surroundings.questions.take(&query);
        let held = self.ledger.designated_secret(SEARCH_SECRET);
        let expected = held.map(|secret| secret.value.clone());
        ensure!(
            seen == expected,
            "the upstream saw {seen:?}, stored was {expected:?}; the answer: {answer}"
        );
        let code = match (held, &self.ledger.designated) {
            (Some(_), _) => return same("what was found", &answer["result"], &json!([query])),
            (None, Some(_)) => "secret_not_found",
            (None, None) => "no_vault_designated",
        };
        same("the error", &answer["error"]["code"], &json!(code))
    }

    async fn be_refused(&mut self, commons: &Commons) -> Result<()> {
        let call = match self.pick(3) {
            0 => {
                let unknown = Call::new(Method::GET, "/api/sdk/app", &[]).api_key("tvr_unknown");
                return self.connection.expect(401, unknown).await.map(drop);
            }
            1 => Call::new(Method::GET, SECRETS, &[&commons.vault_id]),
            _ => Call::new(Method::GET, "/api/sdk/nothing", &[]),
        };
        let answer = self.app_call(404, call).await?.json()?;
        same("the code", &answer["code"], &json!("not_found"))
    }
}
