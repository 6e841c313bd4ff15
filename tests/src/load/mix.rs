//! What is asked of the host under load, and how often. What each step does is in `steps`, `operator` and
//! `page`.

/// A request of some kind, or a few that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The app, under one of its two names.
    ShowApp,
    /// The designated vault, under one of the app's two names.
    ShowDesignation,
    /// Another vault, or none, becomes the designated one.
    Designate,
    /// All vaults.
    ListVaults,
    /// One vault.
    ShowVault,
    /// A new vault, or one less where there are enough.
    CreateOrDeleteVault,
    /// A vault under a name that is taken.
    CreateVaultTwice,
    /// A vault's metadata.
    UpdateVault,
    /// A vault's secrets.
    ListSecrets,
    /// A secret, new or over an old one.
    PutSecret,
    /// A secret, over the version that is there.
    PutSecretInTurn,
    /// A secret, over a version that is not there any more.
    PutSecretOutOfTurn,
    /// A secret that every app writes at once.
    PutCommonSecret,
    /// A secret goes, or was not there.
    DeleteSecret,
    /// The newest entries of the audit.
    ReadAudit,
    /// All of the audit.
    ExportAudit,
    /// What the app's agents can call.
    ListTools,
    /// A program that only computes.
    Compute,
    /// A program that calls the search tool, which resolves its secret.
    Search,
    /// Another app's vault, a wrong key, a path that is not there.
    BeRefused,
    /// Apps, one app, its API keys.
    Operate,
    /// A new API key, or one less.
    CreateOrRevokeApiKey,
    /// A new app.
    CreateApp,
    /// KEKs and tools.
    Inspect,
    /// A rewrap and a verification of all secrets, a KEK that is not there.
    WalkSecrets,
    /// Health, readiness, metrics and the OpenAPI document.
    Probe,
    /// The page at `/admin`.
    VisitPage,
}

/// Each step and its weight: mostly what SDKs do all day, least of all what reads everything.
const MIX: [(Step, usize); 27] = [
    (Step::PutSecret, 200),
    (Step::Search, 120),
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

/// Every step once, beginning at another one for each `number`.
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
