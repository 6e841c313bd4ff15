//! Visits of an operator to the page at `/admin` under load: signs in, looks around, stores a
//! secret by the form, and signs out. The browser suite tests how a page looks.

use anyhow::{Context, Result, ensure};
use axum::http::Method;
use vault_core::audit::action;

use super::connection::{Answer, Call};
use super::tenant::Tenant;

const SIGN_IN: &str = "/admin/sign-in";

/// The pages to look at.
const PAGES: [&str; 5] = [
    "/admin",
    "/admin/apps",
    "/admin/tools",
    "/admin/kek",
    "/admin/audit",
];

/// The pages of one app to look at.
const APP_PAGES: [&str; 2] = ["/admin/apps/{app}/api-keys", "/admin/apps/{app}/audit"];

/// The number of entries that one visit leaves in the audit: its begin and its end.
const VISIT_ENTRIES: u64 = 2;

impl Tenant {
    /// Makes one visit.
    pub(super) async fn visit_page(&mut self) -> Result<()> {
        let form = self.connection.expect(200, get(SIGN_IN, &[])).await?;
        let fields = [
            ("form_token", form_token(&form)?),
            ("admin_token", self.surroundings.admin_token.clone()),
        ];
        let call = Call::new(Method::POST, SIGN_IN, &[]);
        let call = call.cookie(&cookie(&form)?).form(&fields);
        let signed_in = self.connection.expect(303, call).await?;
        let session = cookie(&signed_in)?;
        self.platform_entries += VISIT_ENTRIES;

        for path in PAGES {
            self.look(get(path, &[]), &session).await?;
        }
        let app = self.ledger.app_id.clone();
        for path in APP_PAGES {
            self.look(get(path, &[&app]), &session).await?;
        }
        let page = self
            .look(get("/admin/apps/{app}", &[&app]), &session)
            .await?;
        for vault in &self.ledger.vaults {
            let shown = String::from_utf8_lossy(&page.body);
            ensure!(shown.contains(&vault.id), "{} is not shown", vault.name);
        }
        self.store_by_form(&session).await?;

        let form = [("form_token", form_token(&page)?)];
        let call = Call::new(Method::POST, "/admin/sign-out", &[]);
        let call = call.cookie(&session).form(&form);
        self.connection.expect(303, call).await?;
        let shut_out = get("/admin/apps", &[]).cookie(&session);
        self.connection.expect(303, shut_out).await.map(drop)
    }

    async fn look(&mut self, call: Call, session: &str) -> Result<Answer> {
        self.connection.expect(200, call.cookie(session)).await
    }

    /// Stores a secret through the page. The operator deletes it again through the API, so that the
    /// ledger needs no tag.
    async fn store_by_form(&mut self, session: &str) -> Result<()> {
        const VAULT: &str = "/admin/apps/{app}/vaults/{vault}";
        const NAME: &str = "by_form";
        let (app, vault) = (self.ledger.app_id.clone(), self.ledger.vaults[0].id.clone());
        let places = [app.as_str(), vault.as_str()];
        let page = self.look(get(VAULT, &places), session).await?;
        let fields = [
            ("form_token", form_token(&page)?),
            ("name", NAME.to_owned()),
            ("value", self.unique("by-form")),
        ];
        let secrets = "/admin/apps/{app}/vaults/{vault}/secrets";
        let call = Call::new(Method::POST, secrets, &places);
        let call = call.cookie(session).form(&fields);
        self.connection.expect(303, call).await?;
        self.ledger.acknowledge(action::SECRET_PUT);
        let page = self.look(get(VAULT, &places), session).await?;
        let shown = String::from_utf8_lossy(&page.body);
        ensure!(shown.contains(NAME), "{NAME} was stored and is not shown");
        ensure!(!shown.contains(&fields[2].1), "the page shows a value");
        self.delete(0, NAME).await
    }
}

fn get(template: &'static str, places: &[&str]) -> Call {
    Call::new(Method::GET, template, places)
}

/// The first cookie that an answer sets, as `name=value`.
fn cookie(answer: &Answer) -> Result<String> {
    let cookie = answer
        .headers
        .get("set-cookie")
        .context("no cookie is set")?;
    let cookie = cookie.to_str()?.split(';').next();
    Ok(cookie.context("it is empty")?.to_owned())
}

/// The hidden field of the first form of a page.
fn form_token(page: &Answer) -> Result<String> {
    let text = String::from_utf8_lossy(&page.body);
    let (_, rest) = text
        .split_once("name=\"form_token\" value=\"")
        .context("the page has no form")?;
    let (token, _) = rest.split_once('"').context("the form breaks off")?;
    Ok(token.to_owned())
}
