//! A session with a Vault or OpenBao server, with a token from a file or from an AppRole.

use std::sync::Arc;

use rustls::ClientConfig;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tavora_trust::credential::CredentialSource;
use vault_core::KekTrouble;

use super::approle::{AppRole, Names};
use super::server::{Answer, Failed, Server, odd, read};
use crate::config::{KekLimits, TransitConfig};

pub(super) struct Client {
    server: Arc<Server>,
    login: Login,
}

enum Login {
    Token(CredentialSource),
    AppRole(AppRole),
}

impl Client {
    pub(super) fn new(
        config: &TransitConfig,
        limits: &KekLimits,
        tls: ClientConfig,
    ) -> Result<Self, &'static str> {
        let server = Arc::new(Server::new(config, limits, tls));
        let login = match (&config.token, &config.role_id, &config.secret_id) {
            (Some(token), None, None) => Login::Token(token.clone()),
            (None, Some(role_id), Some(secret_id)) => {
                let names = Names {
                    mount: config.approle_mount.as_str().to_owned(),
                    role_id: role_id.clone(),
                    secret_id: secret_id.clone(),
                };
                Login::AppRole(AppRole::new(Arc::clone(&server), names, limits))
            }
            _ => return Err("give either `token`, or `role_id` and `secret_id`"),
        };
        Ok(Self { server, login })
    }

    /// Posts a request with the current token. If the token is refused, repeats once with a new
    /// one.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failed> {
        let token = match &self.login {
            Login::Token(source) => Arc::new(read(source)?),
            Login::AppRole(role) => role.token(None).await?,
        };
        let answer: Result<Answer<T>, _> = self.server.send(path, Some(&token), body).await;
        let refused = match answer {
            Err(refused @ Failed::Trouble(KekTrouble::Denied | KekTrouble::Refused, _)) => refused,
            answer => return Ok(answer?.data),
        };
        match (&self.login, &refused) {
            (Login::Token(_), _) => Err(odd(&token).unwrap_or(refused)),
            (Login::AppRole(role), Failed::Trouble(KekTrouble::Denied, _)) => {
                let new = role.token(Some(&token)).await?;
                if Arc::ptr_eq(&new, &token) {
                    return Err(refused);
                }
                let answer: Answer<T> = self.server.send(path, Some(&new), body).await?;
                Ok(answer.data)
            }
            (Login::AppRole(_), _) => Err(refused),
        }
    }
}
