//! The labels that distinguish the series of one metric.

use std::borrow::Cow;

use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};

/// Names of labels with their values.
pub(super) type Labels<const N: usize> = [(&'static str, Cow<'static, str>); N];

/// For a metric with a single series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct NoLabels;

impl EncodeLabelSet for NoLabels {
    fn encode(&self, _: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        Ok(())
    }
}
