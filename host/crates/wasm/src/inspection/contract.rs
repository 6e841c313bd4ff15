//! The contract of `wit/` as tables: what each class may import, what it must export, and the
//! functions of those interfaces.
//!
//! A test compiles the worlds of `wit/` and checks that these tables agree. The place of an import
//! in a component does not matter here, and nothing is linked.

use std::collections::BTreeMap;

use wasmparser::component_types::{ComponentAnyTypeId, ComponentEntityType};
use wasmparser::types::TypesRef;

use super::interface::{Interface, Versions};
use super::{Class, ImportFound, shape};
use tavora_scrub::shown;

/// Interfaces of one package that a class may import.
struct Allowed {
    package: &'static str,
    interfaces: &'static [&'static str],
    versions: Versions,
    /// The authority that the import gives a component. It is empty if the import gives none.
    authority: &'static str,
}

const AGENT_IMPORTS: &[Allowed] = &[Allowed {
    package: "tavora:platform",
    interfaces: &["tools", "types"],
    versions: Versions::Platform,
    authority: "",
}];

const TOOL_IMPORTS: &[Allowed] = &[
    Allowed {
        package: "tavora:platform",
        interfaces: &["secrets"],
        versions: Versions::Platform,
        authority: "ask for the secrets that are granted to it",
    },
    Allowed {
        package: "tavora:platform",
        interfaces: &["types"],
        versions: Versions::Platform,
        authority: "",
    },
    Allowed {
        package: "wasi:http",
        interfaces: &["outgoing-handler"],
        versions: Versions::Wasi,
        authority: "send HTTP requests to the origins that are granted to it",
    },
    Allowed {
        package: "wasi:http",
        interfaces: &["types"],
        versions: Versions::Wasi,
        authority: "",
    },
    Allowed {
        package: "wasi:config",
        interfaces: &["store"],
        versions: Versions::Exactly("0.2.0-rc.1"),
        authority: "read the configuration that is written for it",
    },
    Allowed {
        package: "wasi:io",
        interfaces: &["error", "poll", "streams"],
        versions: Versions::Wasi,
        authority: "",
    },
    Allowed {
        package: "wasi:clocks",
        interfaces: &["monotonic-clock", "wall-clock"],
        versions: Versions::Wasi,
        authority: "read the clocks",
    },
    Allowed {
        package: "wasi:random",
        interfaces: &["random", "insecure", "insecure-seed"],
        versions: Versions::Wasi,
        authority: "draw random numbers",
    },
    Allowed {
        package: "wasi:cli",
        interfaces: &["stdout", "stderr"],
        versions: Versions::Wasi,
        authority: "write to the host's log",
    },
    Allowed {
        package: "wasi:cli",
        interfaces: &[
            "environment",
            "exit",
            "stdin",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
        versions: Versions::Wasi,
        authority: "see an environment and an input that are empty",
    },
    Allowed {
        package: "wasi:filesystem",
        interfaces: &["types", "preopens"],
        versions: Versions::Wasi,
        authority: "see a file system that is empty",
    },
    Allowed {
        package: "wasi:sockets",
        interfaces: &[
            "instance-network",
            "ip-name-lookup",
            "network",
            "tcp",
            "tcp-create-socket",
            "udp",
            "udp-create-socket",
        ],
        versions: Versions::Wasi,
        authority: "try sockets, each of which is denied",
    },
];

/// Whether a class may import an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Allowed,
    /// The interface is allowed, but only in these versions.
    OtherVersion(&'static str),
    Unknown,
}

/// Decides whether `class` may import `interface`. Core modules may omit the patch number of a
/// version.
pub(super) fn verdict(class: Class, interface: Interface<'_>, patch_left_out: bool) -> Verdict {
    let mut verdict = Verdict::Unknown;
    for allowed in imports_of(class).iter().filter(|allowed| {
        allowed.package == interface.package && allowed.interfaces.contains(&interface.name)
    }) {
        match interface.version {
            Some(version) if allowed.versions.fit(version, patch_left_out) => {
                return Verdict::Allowed;
            }
            _ => verdict = Verdict::OtherVersion(allowed.versions.words()),
        }
    }
    verdict
}

/// Returns what a trusted tool with these imports could do, in the order of the table.
pub(super) fn authority(imports: &[ImportFound]) -> Vec<String> {
    let top: Vec<Interface<'_>> = imports
        .iter()
        .filter(|import| import.place.is_top())
        .filter_map(|import| Interface::parse(&import.name))
        .collect();
    TOOL_IMPORTS
        .iter()
        .filter(|allowed| {
            !allowed.authority.is_empty()
                && top.iter().any(|interface| {
                    allowed.package == interface.package
                        && allowed.interfaces.contains(&interface.name)
                })
        })
        .map(|allowed| allowed.authority.to_owned())
        .collect()
}

/// Describes what `class` may import, for a message.
pub(super) fn import_words(class: Class) -> &'static str {
    match class {
        Class::Agent => "tavora:platform/tools@0.1.x (with its tavora:platform/types)",
        Class::Tool => {
            "tavora:platform/secrets@0.1.x, wasi:http/outgoing-handler@0.2.x, wasi:config/store@0.2.0-rc.1 and the interfaces of WASI 0.2"
        }
    }
}

/// The name of the interface of `tavora:platform` that `class` exports.
pub(super) fn export_name(class: Class) -> &'static str {
    match class {
        Class::Agent => "agent",
        Class::Tool => "tool",
    }
}

/// Whether `name` is the interface that `class` exports, in a version that fits.
pub(super) fn is_export_of(class: Class, name: &str) -> bool {
    Interface::parse(name).is_some_and(|interface| {
        interface.package == PLATFORM
            && interface.name == export_name(class)
            && interface
                .version
                .is_some_and(|version| Versions::Platform.fit(version, false))
    })
}

/// Returns the fault of the export by which a trusted tool answers HTTP requests. The host calls
/// this export of some tools.
pub(super) fn serving_fault(exports: &BTreeMap<String, Option<String>>) -> Option<String> {
    exports.iter().find_map(|(name, fault)| {
        let interface = Interface::parse(name)?;
        if (interface.package, interface.name) != SERVING {
            return None;
        }
        let fits = |version| Versions::Wasi.fit(version, false);
        match fault {
            Some(fault) => Some(format!("its {} {fault}", shown::name(name))),
            None if interface.version.is_some_and(fits) => None,
            None => Some(format!(
                "its {} has to be of the version {}",
                shown::name(name),
                Versions::Wasi.words()
            )),
        }
    })
}

/// Returns the fault in the type under which `name` is imported.
pub(super) fn import_fault(
    name: &str,
    ty: &ComponentEntityType,
    types: TypesRef<'_>,
) -> Option<String> {
    let interface = Interface::parse(name)?;
    let ComponentEntityType::Instance(id) = ty else {
        return Some("it is not imported as an instance".to_owned());
    };
    let expected = functions(interface);
    for (export, item) in &types[*id].exports {
        let named = shown::name(export);
        match item.ty {
            ComponentEntityType::Func(id) => {
                let Some(functions) = expected else { continue };
                let found = shape::function(types, id);
                match functions.iter().find(|(name, _)| name == export) {
                    None => return Some(format!("it also holds the function `{named}`")),
                    Some((_, shape)) if *shape != found => {
                        return Some(format!("its `{named}` is `{}`", shown::name(&found)));
                    }
                    Some(_) => {}
                }
            }
            ComponentEntityType::Type { created, .. } => {
                if expected.is_some() && matches!(created, ComponentAnyTypeId::Resource(_)) {
                    return Some(format!("it also holds the resource `{named}`"));
                }
            }
            ComponentEntityType::Instance(_)
            | ComponentEntityType::Component(_)
            | ComponentEntityType::Module(_)
            | ComponentEntityType::Value(_) => {
                return Some(format!("it also holds `{named}`, which is no function"));
            }
        }
    }
    None
}

/// Returns the fault in the type of an exported interface that the host calls.
pub(super) fn export_fault(
    name: &str,
    ty: &ComponentEntityType,
    types: TypesRef<'_>,
) -> Option<String> {
    let expected = functions(Interface::parse(name)?)?;
    let ComponentEntityType::Instance(id) = ty else {
        return Some("is not an instance".to_owned());
    };
    let exports = &types[*id].exports;
    expected.iter().find_map(
        |(function, shape)| match exports.get(*function).map(|item| item.ty) {
            Some(ComponentEntityType::Func(id)) => {
                let found = shape::function(types, id);
                (found != *shape)
                    .then(|| format!("has a `{function}` that is `{}`", shown::name(&found)))
            }
            _ => Some(format!("has no function `{function}`")),
        },
    )
}

const PLATFORM: &str = "tavora:platform";

/// The WASI interface by which a tool answers HTTP requests.
const SERVING: (&str, &str) = ("wasi:http", "incoming-handler");

/// Returns the functions of an interface with their shapes, for the platform's interfaces and for
/// the one that answers HTTP requests. Returns `None` for any other interface.
fn functions(interface: Interface<'_>) -> Option<&'static [(&'static str, &'static str)]> {
    if (interface.package, interface.name) == SERVING {
        return Some(&[(
            "handle",
            "func(request: own<resource>, response-out: own<resource>)",
        )]);
    }
    if interface.package != PLATFORM {
        return None;
    }
    match interface.name {
        "types" => Some(&[]),
        "secrets" => Some(&[(
            "resolve",
            "func(name: string) -> result<string, variant{no-vault-designated, not-found, not-granted, unavailable}>",
        )]),
        "tools" => Some(&[
            (
                "list",
                "func() -> list<record{name: string, operations: list<record{name: string, description: string, input-schema: string}>}>",
            ),
            (
                "call",
                "func(tool: string, operation: string, input: string) -> result<string, record{code: string, message: string}>",
            ),
            (
                "call-all",
                "func(calls: list<record{tool: string, operation: string, input: string}>) -> list<result<string, record{code: string, message: string}>>",
            ),
            ("log", "func(line: string)"),
        ]),
        "agent" => Some(&[(
            "run",
            "func(input: record{code: string, input: string, now-ms: u64, seed: u64}) -> result<string, record{name: string, code: option<string>, message: string, stack: string}>",
        )]),
        "tool" => Some(&[
            (
                "describe",
                "func() -> list<record{name: string, description: string, input-schema: string}>",
            ),
            (
                "call",
                "func(operation: string, input: string) -> result<string, record{code: string, message: string}>",
            ),
        ]),
        _ => None,
    }
}

fn imports_of(class: Class) -> &'static [Allowed] {
    match class {
        Class::Agent => AGENT_IMPORTS,
        Class::Tool => TOOL_IMPORTS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict_on(class: Class, name: &str) -> Verdict {
        verdict(class, Interface::parse(name).expect(name), false)
    }

    #[test]
    fn versions_of_the_same_track_fit_and_no_others() {
        for name in ["tavora:platform/tools@0.1.0", "tavora:platform/types@0.1.7"] {
            assert_eq!(verdict_on(Class::Agent, name), Verdict::Allowed, "{name}");
        }
        for version in [
            "",
            "@",
            "@0.1",
            "@0.1.",
            "@0.1.00",
            "@0.1.01",
            "@0.1.0-rc.1",
            "@0.1.0+build",
            "@0.10.0",
            "@0.2.0",
            "@1.1.0",
            "@00.1.0",
            "@0.1.0 ",
            "@0.1.0@0.1.0",
            "@0.1.99999999999999999999999",
        ] {
            let name = format!("tavora:platform/tools{version}");
            assert_eq!(
                verdict_on(Class::Agent, &name),
                Verdict::OtherVersion("0.1.x"),
                "{name}"
            );
        }
    }

    #[test]
    fn every_patch_of_wasi_0_2_fits_and_a_pre_release_fits_itself() {
        let on = |name: &str| verdict_on(Class::Tool, name);
        assert_eq!(on("wasi:io/poll@0.2.12"), Verdict::Allowed);
        for newer in ["wasi:io/poll@0.2.13", "wasi:io/poll@0.2.4711"] {
            assert_eq!(on(newer), Verdict::Allowed, "{newer}");
        }
        for other in ["@0.3.0", "@0.20.0", "@0.2", "@0.2.0-rc.2", "@1.2.0"] {
            let name = format!("wasi:io/poll{other}");
            assert_eq!(on(&name), Verdict::OtherVersion("0.2.x"), "{name}");
        }
        assert_eq!(on("wasi:config/store@0.2.0-rc.1"), Verdict::Allowed);
        assert_eq!(
            on("wasi:config/store@0.2.0"),
            Verdict::OtherVersion("0.2.0-rc.1")
        );
        assert_eq!(on("wasi:clocks/timezone@0.2.0"), Verdict::Unknown);
        assert_eq!(on("tavora:platform/tools@0.1.0"), Verdict::Unknown);
    }

    #[test]
    fn only_core_modules_leave_the_patch_out() {
        let tools = Interface::parse("tavora:platform/tools@0.1").expect("a name");
        assert_eq!(verdict(Class::Agent, tools, true), Verdict::Allowed);
        assert_ne!(verdict(Class::Agent, tools, false), Verdict::Allowed);
    }

    #[test]
    fn an_agent_may_import_nothing_of_wasi_and_no_secrets() {
        for name in [
            "tavora:platform/secrets@0.1.0",
            "wasi:io/poll@0.2.0",
            "wasi:http/types@0.2.0",
            "tavora:platform/tool@0.1.0",
            "tavora:tools/platform@0.1.0",
            "Tavora:platform/tools@0.1.0",
        ] {
            assert_eq!(verdict_on(Class::Agent, name), Verdict::Unknown, "{name}");
        }
    }
}
