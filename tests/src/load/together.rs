//! Running many tasks at once.

use anyhow::Result;
use tokio::task::JoinSet;

/// Runs everything at once, each in a task of its own. The first failure ends it.
pub async fn together<T, F>(work: impl Iterator<Item = F>) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let mut tasks: JoinSet<Result<T>> = work.collect();
    let mut done = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        done.push(ended??);
    }
    Ok(done)
}
