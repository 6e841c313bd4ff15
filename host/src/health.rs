//! `/healthz` (the process is alive) and `/readyz` (the store, the audit and the KEK work). The rest of the HTTP API
//! is not here.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use vault_core::{KekState, SecretVaults};

/// Serves until `stop` ends, and gives requests that are under way `grace` to finish.
pub async fn serve(
    listener: TcpListener,
    vaults: SecretVaults,
    stop: impl Future<Output = ()> + Send + 'static,
    grace: Duration,
) -> std::io::Result<()> {
    let (stopping, stopped) = tokio::sync::oneshot::channel();
    let served = axum::serve(listener, router(vaults)).with_graceful_shutdown(async move {
        stop.await;
        // Nobody listens once the server has ended by itself.
        let _ = stopping.send(());
    });
    let out_of_time = async {
        match stopped.await {
            Ok(()) => tokio::time::sleep(grace).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = served => ended,
        () = out_of_time => {
            tracing::warn!("requests that did not end within server.shutdown_grace_ms were cut off");
            Ok(())
        }
    }
}

fn router(vaults: SecretVaults) -> Router {
    Router::new()
        .route("/healthz", get(async || Json(json!({ "status": "ok" }))))
        .route("/readyz", get(ready))
        .fallback(async || not_found())
        .with_state(vaults)
}

async fn ready(State(vaults): State<SecretVaults>) -> (StatusCode, Json<Value>) {
    let unavailable = |code: &str, message: String| {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({ "code": code, "message": message })),
        )
    };
    if let Err(error) = vaults.probe().await {
        tracing::error!(%error, "the store does not work");
        return unavailable(
            "store_unavailable",
            "the store or its audit does not work".to_owned(),
        );
    }
    match vaults.refresh_kek_state().await {
        Ok(KekState::Ready) => (StatusCode::OK, Json(json!({ "status": "ready" }))),
        Ok(KekState::Unset) => unavailable(
            "secret_vaults_disabled",
            "TAVORA_SECRET_KEK is not set".to_owned(),
        ),
        Ok(KekState::Mismatch { wanted, rows }) => unavailable(
            "kek_mismatch",
            format!("{rows} secrets need the KEK {wanted}, which is not in the keyring"),
        ),
        Ok(KekState::CanaryFailed { kek_id }) => unavailable(
            "kek_unusable",
            format!("the KEK {kek_id} does not open its own canary: the database is damaged"),
        ),
        Err(error) => {
            tracing::error!(%error, "the KEK's state cannot be read");
            unavailable("store_unavailable", "the store does not work".to_owned())
        }
    }
}

fn not_found() -> (StatusCode, Json<Value>) {
    (
        StatusCode::NOT_FOUND,
        Json(json!({ "code": "not_found", "message": "there is nothing at this path" })),
    )
}
