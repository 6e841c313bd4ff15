//! The mix of the load: which steps, and how often. `steps`, `models`, `operator` and `page` define
//! the steps.

/// A request of one kind, or a few that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Shows the app, under one of its two names.
    ShowApp,
    /// Shows the designated vault, under one of the app's two names.
    ShowDesignation,
    /// Designates another vault, or none.
    Designate,
    /// Lists all vaults.
    ListVaults,
    /// Shows one vault.
    ShowVault,
    /// Creates a vault, or deletes one where there are enough.
    CreateOrDeleteVault,
    /// Creates a vault under a name that is taken.
    CreateVaultTwice,
    /// Updates a vault's metadata.
    UpdateVault,
    /// Lists a vault's secrets.
    ListSecrets,
    /// Stores a secret under a new name or an existing one.
    PutSecret,
    /// Puts a secret over the current version.
    PutSecretInTurn,
    /// Puts a secret over a version that is no longer current.
    PutSecretOutOfTurn,
    /// Puts a secret that every app writes at once.
    PutCommonSecret,
    /// Deletes a secret, which may be missing.
    DeleteSecret,
    /// Reads the newest entries of the audit.
    ReadAudit,
    /// Exports the whole audit.
    ExportAudit,
    /// Lists the tools that the app's agents can call.
    ListTools,
    /// Runs a program that only computes.
    Compute,
    /// Runs a program that calls the search tool, which resolves its secret.
    Search,
    /// Asks for a completion, whole or streamed.
    CompleteChat,
    /// Lists the models.
    ListModels,
    /// Asks for another app's vault, with a wrong key, and for a missing path.
    BeRefused,
    /// Lists apps, and shows one app and its API keys.
    Operate,
    /// Creates an API key, or revokes one.
    CreateOrRevokeApiKey,
    /// Creates an app.
    CreateApp,
    /// Shows KEKs and tools.
    Inspect,
    /// Runs a rewrap and a verification of all secrets, and asks for a missing KEK.
    WalkSecrets,
    /// Asks for health, readiness, metrics and the OpenAPI document.
    Probe,
    /// Visits the page at `/admin`.
    VisitPage,
}

/// The weight of each step. The daily work of SDKs is most frequent, and steps that read everything
/// are rarest.
const MIX: [(Step, usize); 29] = [
    (Step::PutSecret, 200),
    (Step::Search, 120),
    (Step::CompleteChat, 80),
    (Step::ListSecrets, 80),
    (Step::Compute, 80),
    (Step::DeleteSecret, 60),
    (Step::PutCommonSecret, 40),
    (Step::PutSecretInTurn, 40),
    (Step::ShowApp, 40),
    (Step::ListVaults, 40),
    (Step::ShowVault, 40),
    (Step::ShowDesignation, 30),
    (Step::Designate, 30),
    (Step::UpdateVault, 30),
    (Step::ReadAudit, 30),
    (Step::ListTools, 30),
    (Step::ListModels, 20),
    (Step::CreateOrDeleteVault, 20),
    (Step::PutSecretOutOfTurn, 20),
    (Step::BeRefused, 20),
    (Step::Probe, 20),
    (Step::CreateVaultTwice, 10),
    (Step::Inspect, 10),
    (Step::Operate, 10),
    (Step::CreateOrRevokeApiKey, 10),
    (Step::ExportAudit, 5),
    (Step::VisitPage, 3),
    (Step::CreateApp, 2),
    (Step::WalkSecrets, 1),
];

/// Every step once. Each `number` begins at another step.
pub fn each(number: usize) -> impl Iterator<Item = Step> {
    let steps = MIX.iter().map(|(step, _)| *step).cycle();
    steps.skip(number % MIX.len()).take(MIX.len())
}

/// The sum of all weights.
pub fn total() -> usize {
    MIX.iter().map(|(_, weight)| weight).sum()
}

/// The step at a place below [`total`].
pub fn step(place: usize) -> Step {
    let mut left = place;
    for (step, weight) in MIX {
        match left.checked_sub(weight) {
            Some(rest) => left = rest,
            None => return step,
        }
    }
    unreachable!("the place is below the total")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_comes_as_often_as_its_weight() {
        for (step, weight) in MIX {
            let places = (0..total()).filter(|place| super::step(*place) == step);
            assert_eq!(places.count(), weight, "{step:?}");
        }
    }
}
