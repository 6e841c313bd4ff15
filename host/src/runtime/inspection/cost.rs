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

#[cfg(test)]
mod tests {
    use super::super::{Class, inspect};
    use super::*;

    /// The estimate for a component of one core module.
    fn cost(module: &str) -> Cost {
        let bytes = wat::parse_str(format!("(component (core module {module}))")).expect("valid");
        let findings = super::super::walk::walk(&bytes, &InspectionLimits::default());
        findings.expect("a component").cost
    }

    #[test]
    fn ordinary_code_costs_about_its_bytes() {
        let adds = "i32.const 7 i32.add ".repeat(10_000);
        let straight = cost(&format!(
            "(func (param i32) (result i32) local.get 0 {adds})"
        ));
        assert!(
            (30_000..31_000).contains(&straight.total),
            "{}",
            straight.total
        );
        let two = cost("(func) (func (param i32 i64))");
        assert!((2 * FUNCTION..600).contains(&two.total), "{}", two.total);
        assert!(two.largest < two.total);
    }

    #[test]
    fn what_is_slow_to_compile_costs_more_than_an_agent_may() {
        let locals = |n: usize| format!("(local {})", "i32 ".repeat(n));
        let pairs = |n: u32| {
            format!(
                "(type $t (func (param {0}) (result {0})))",
                "i32 ".repeat(n as usize)
            )
        };
        let slow = [
            // Many branches to where many variables meet.
            format!(
                "(func {} block {} end)",
                locals(50),
                "i32.const 1 local.tee 7 br_if 0 ".repeat(10_000)
            ),
            // Loops inside loops, and their variables read inside.
            format!(
                "(func {} {} {})",
                locals(250),
                "loop ".repeat(4_000),
                "end ".repeat(4_000)
            ),
            // The same with few loops: the variables count more than once.
            format!(
                "(func {} {} {})",
                locals(20_000),
                "loop ".repeat(25),
                "end ".repeat(25)
            ),
            // Blocks that pass values on.
            format!(
                "{} (func {} {} {} unreachable)",
                pairs(100),
                "i32.const 1 ".repeat(100),
                "block (type $t) ".repeat(1_000),
                "end ".repeat(1_000)
            ),
            // Functions that return many values.
            format!(
                "{} (func $f (type $t) unreachable) (func {} {} unreachable)",
                pairs(100),
                "i32.const 1 ".repeat(100),
                "call $f ".repeat(1_000)
            ),
            // A table of branches.
            format!(
                "(func {} block i32.const 0 br_table {} end)",
                locals(50),
                "0 ".repeat(10_000)
            ),
        ];
        for module in slow {
            let cost = cost(&module);
            let fault = TooCostly::of(cost, &InspectionLimits::default());
            assert!(
                matches!(fault, Some(TooCostly::Function { .. })),
                "{cost:?}: {}",
                &module[..80]
            );
        }
    }

    #[test]
    fn each_limit_of_an_agent_is_kept_and_named() {
        let cost = Cost {
            size_bytes: 100,
            total: 1_000,
            largest: 500,
        };
        let exact = InspectionLimits {
            max_agent_bytes: 100,
            max_agent_cost: 1_000,
            max_agent_function_cost: 500,
            ..InspectionLimits::default()
        };
        assert_eq!(TooCostly::of(cost, &exact), None);
        for (limits, name) in [
            (
                InspectionLimits {
                    max_agent_bytes: 99,
                    ..exact
                },
                "limits.component.max_agent_bytes is 99",
            ),
            (
                InspectionLimits {
                    max_agent_cost: 999,
                    ..exact
                },
                "limits.component.max_agent_cost is 999",
            ),
            (
                InspectionLimits {
                    max_agent_function_cost: 499,
                    ..exact
                },
                "limits.component.max_agent_function_cost is 499",
            ),
        ] {
            let fault = TooCostly::of(cost, &limits)
                .expect("too costly")
                .to_string();
            assert!(fault.contains(name), "{fault}");
        }
    }

    #[test]
    fn only_the_agent_class_is_refused_for_its_cost() {
        let bytes = wat::parse_str("(component (core module (func)))").expect("valid");
        let limits = InspectionLimits {
            max_agent_cost: 1,
            ..InspectionLimits::default()
        };
        let inspection = inspect(&bytes, &limits).expect("a component");
        let refusal = |class| inspection.refusal_for(class).expect("it exports nothing");
        assert!(refusal(Class::Agent).too_costly().is_some());
        assert_eq!(refusal(Class::Tool).too_costly(), None);
    }
}
