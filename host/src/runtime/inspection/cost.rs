//! What compiling a component may cost, estimated from its binary, and what an agent's component may cost at the most.
//!
//! The compiler takes time and memory that grow faster than a function: 10,000 branches to a place where 50 variables
//! meet are 60 kB and took its better register allocation over a minute. The estimate counts what makes it so. It is
//! no prediction; it only has to be large where the compiler is slow, and small for what toolchains emit.

use wasmparser::{BlockType, FunctionBody, Operator, WasmModuleResources};

use super::{InspectionLimits, NotAComponent};

/// What one function costs, however small.
const FUNCTION: u64 = 256;
/// Beyond so many variables, the compiler looks through all of them for each of them.
const VARIABLES: u64 = 1_000;
/// A block that takes or gives several values costs as much for each as so many variables.
const PER_BLOCK_VALUE: u64 = 8;

/// The estimate for a component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) size_bytes: usize,
    /// All functions together.
    pub(super) total: u64,
    /// The function that costs most.
    pub(super) largest: u64,
}

impl Cost {
    pub(super) fn add(&mut self, function: u64) {
        self.total = self.total.saturating_add(function);
        self.largest = self.largest.max(function);
    }
}

/// An agent's component that costs more than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooCostly {
    /// The file.
    #[error(
        "the component has {size_bytes} bytes and limits.component.max_agent_bytes is {max_agent_bytes}: make it smaller or raise the limit"
    )]
    Bytes {
        /// How much there is.
        size_bytes: usize,
        /// How much there may be.
        max_agent_bytes: usize,
    },
    /// One function.
    #[error(
        "a function of the component costs {cost} to compile and limits.component.max_agent_function_cost is {max_agent_function_cost}: build it optimised, split it or raise the limit"
    )]
    Function {
        /// The estimate.
        cost: u64,
        /// What it may be.
        max_agent_function_cost: u64,
    },
    /// All functions together.
    #[error(
        "the component costs {cost} to compile and limits.component.max_agent_cost is {max_agent_cost}: make it smaller or raise the limit"
    )]
    Component {
        /// The estimate.
        cost: u64,
        /// What it may be.
        max_agent_cost: u64,
    },
}

impl TooCostly {
    /// Why an agent may not have a component of this `cost`; `None` when it may.
    pub(super) fn of(cost: Cost, limits: &InspectionLimits) -> Option<Self> {
        let InspectionLimits {
            max_agent_bytes,
            max_agent_function_cost,
            max_agent_cost,
            ..
        } = *limits;
        if cost.size_bytes > max_agent_bytes {
            return Some(Self::Bytes {
                size_bytes: cost.size_bytes,
                max_agent_bytes,
            });
        }
        if cost.largest > max_agent_function_cost {
            return Some(Self::Function {
                cost: cost.largest,
                max_agent_function_cost,
            });
        }
        (cost.total > max_agent_cost).then_some(Self::Component {
            cost: cost.total,
            max_agent_cost,
        })
    }
}

/// The estimate for one function, which has been validated.
pub(super) fn of_function(
    body: &FunctionBody<'_>,
    own_type: Option<u32>,
    types: &impl WasmModuleResources,
) -> Result<u64, NotAComponent> {
    let width = |index: u32| {
        types.sub_type_at(index).map_or(0, |ty| {
            let ty = ty.unwrap_func();
            (ty.params().len() + ty.results().len()) as u64
        })
    };
    let returns_several = |index: &u32| {
        types
            .sub_type_at(*index)
            .is_some_and(|ty| ty.unwrap_func().results().len() > 1)
    };
    let mut variables = own_type.map_or(0, width);
    for local in body.get_locals_reader()? {
        variables += u64::from(local?.0);
    }
    // Places where control flow divides or meets, and the widest of those that carry values.
    let (mut edges, mut widest) = (1u64, 0u64);
    for operator in body.get_operators_reader()? {
        let several = match operator? {
            Operator::Block { blockty } | Operator::Loop { blockty } | Operator::If { blockty } => {
                edges += 1;
                match blockty {
                    BlockType::FuncType(index) => Some(index),
                    BlockType::Empty | BlockType::Type(_) => None,
                }
            }
            Operator::Else | Operator::Br { .. } | Operator::BrIf { .. } => {
                edges += 1;
                None
            }
            Operator::BrTable { targets } => {
                edges += u64::from(targets.len()) + 1;
                None
            }
            Operator::Call { function_index } | Operator::ReturnCall { function_index } => types
                .type_index_of_function(function_index)
                .filter(returns_several)
                .inspect(|_| edges += 1),
            Operator::CallIndirect { type_index, .. }
            | Operator::ReturnCallIndirect { type_index, .. } => Some(type_index)
                .filter(returns_several)
                .inspect(|_| edges += 1),
            _ => None,
        };
        widest = widest.max(several.map_or(0, width));
    }
    let values = variables.saturating_add(widest.saturating_mul(PER_BLOCK_VALUE));
    Ok(edges
        .saturating_mul(values)
        .saturating_mul(1 + values / VARIABLES)
        .saturating_add(body.range().len() as u64)
        .saturating_add(FUNCTION))
}
