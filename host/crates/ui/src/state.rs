//! State that all pages share.

use std::sync::Arc;

use super::cookies::Cookies;
use super::session::Sessions;
use super::settings::AdminConfig;
use tavora_api::Api;
use tavora_api::body::LengthLimit;

#[derive(Clone)]
pub(super) struct Ui(Arc<Shared>);

struct Shared {
    api: Api,
    sessions: Sessions,
    cookies: Cookies,
    sign_in_limit: LengthLimit,
}

impl Ui {
    pub(super) fn new(api: Api, settings: &AdminConfig, is_tls: bool) -> Self {
        Self(Arc::new(Shared {
            api,
            sessions: Sessions::new(settings),
            cookies: Cookies::new(is_tls || settings.https_in_front),
            sign_in_limit: LengthLimit {
                key: "admin.max_sign_in_bytes",
                bytes: settings.max_sign_in_bytes,
            },
        }))
    }

    pub(super) fn api(&self) -> &Api {
        &self.0.api
    }

    pub(super) fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    pub(super) fn cookies(&self) -> Cookies {
        self.0.cookies
    }

    pub(super) fn sign_in_limit(&self) -> LengthLimit {
        self.0.sign_in_limit
    }
}
