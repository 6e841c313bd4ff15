//! Tests of the inspection on small components: what fits, what is refused and by which name, and
//! that no input makes it panic or run long. The hostile guests are in `tests/guests/`.

use std::path::Path;
use std::time::{Duration, Instant};

use super::*;

const WIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../wit");

fn limits() -> InspectionLimits {
    InspectionLimits::default()
}

fn encode(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the text is WebAssembly")
}

fn inspect_text(text: &str) -> Inspection {
    inspect(&encode(text), &limits()).expect("the text is a component")
}

fn refusal_of(class: Class, text: &str) -> String {
    inspect_text(text)
        .refusal_for(class)
        .expect("the component does not fit")
        .to_string()
}

fn fault_of(bytes: &[u8]) -> String {
    inspect(bytes, &limits())
        .expect_err("the bytes are not a component")
        .to_string()
}

/// Encodes a component of a world in `wit/`, with the toolchain that builds the guests.
fn component_of(world: &str) -> Vec<u8> {
    component_of_world_in(world, WIT.as_ref())
}

fn component_of_world_in(world: &str, wit: &Path) -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_dir(wit).expect("wit/ parses");
    let world = resolve
        .select_world(&[package], Some(world))
        .expect("the world is in wit/");
    let mut module = wit_component::dummy_module(
        &resolve,
        world,
        wit_parser::ManglingAndAbi::Legacy(wit_parser::LiftLowerAbi::Sync),
    );
    wit_component::embed_component_metadata(
        &mut module,
        &resolve,
        world,
        wit_component::StringEncoding::UTF8,
    )
    .expect("the metadata fits");
    wit_component::ComponentEncoder::default()
        .module(&module)
        .expect("the module is of the world")
        .encode()
        .expect("the module encodes")
}

#[test]
fn the_worlds_of_the_contract_fit_their_classes() {
    let agent = inspect(&component_of("agent-sandbox"), &limits()).expect("a component");
    assert_eq!(
        agent.class,
        Fit::Agent,
        "{:?}",
        agent.refusal_for(Class::Agent)
    );
    assert_eq!(agent.exports, ["tavora:platform/agent@0.1.0"]);

    let tool = inspect(&component_of("trusted-tool"), &limits()).expect("a component");
    let Fit::NeedsTrust { authority } = &tool.class else {
        panic!("{:?}", tool.refusal_for(Class::Tool));
    };
    assert_eq!(
        authority,
        &[
            "ask for the secrets that are granted to it",
            "send HTTP requests to the origins that are granted to it",
            "read the configuration that is written for it",
            "read the clocks",
        ]
    );
    let refusal = tool
        .refusal_for(Class::Agent)
        .expect("it is no agent")
        .to_string();
    assert!(
        refusal.contains("tavora:platform/secrets@0.1.0 (at the top level)"),
        "{refusal}"
    );

    let router = inspect(&component_of("llm-router"), &limits()).expect("a component");
    assert!(
        matches!(router.class, Fit::NeedsTrust { .. }),
        "{:?}",
        router.refusal_for(Class::Tool)
    );
    assert!(router.refusal_for(Class::Agent).is_some());
    let serves = "wasi:http/incoming-handler@0.2.12".to_owned();
    assert!(router.exports.contains(&serves), "{:?}", router.exports);

    let stand_in = inspect(&component_of("dev-secrets"), &limits()).expect("a component");
    assert!(matches!(stand_in.class, Fit::NoClass { .. }));
}

#[test]
fn a_tool_answers_http_as_wasi_says_or_not_at_all() {
    let handle = "handle: func(request: incoming-request, response-out: response-outparam);";
    for (from, to, said) in [
        (
            handle,
            "handle: func(request: incoming-request) -> u32;",
            "wasi:http/incoming-handler@0.2.12 has a `handle` that is `func(request: own<resource>) -> u32`",
        ),
        (
            "@0.2.12",
            "@0.3.0",
            "wasi:http/incoming-handler@0.3.0 has to be of the version 0.2.x",
        ),
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let changed = copy_with(WIT.as_ref(), folder.path(), &|text| text.replace(from, to));
        assert!(changed, "wit/ has no {from}");
        let component = component_of_world_in("llm-router", folder.path());
        let refusal = inspect(&component, &limits())
            .expect("a component")
            .refusal_for(Class::Tool)
            .expect("it does not fit")
            .to_string();
        assert!(refusal.contains(said), "{refusal}");
    }
}

/// Copies a folder and changes its texts. Returns whether any text differs.
fn copy_with(from: &Path, to: &Path, change: &dyn Fn(&str) -> String) -> bool {
    let mut differs = false;
    for entry in std::fs::read_dir(from).expect("readable") {
        let path = entry.expect("readable").path();
        let copy = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            std::fs::create_dir(&copy).expect("the folder is new");
            differs |= copy_with(&path, &copy, change);
        } else {
            let text = std::fs::read_to_string(&path).expect("UTF-8");
            let changed = change(&text);
            differs |= changed != text;
            std::fs::write(copy, changed).expect("writable");
        }
    }
    differs
}

#[test]
fn an_inspection_is_json_that_a_reviewer_can_read() {
    let bytes = encode(r#"(component (import "tavora:platform/secrets@0.1.0" (instance)))"#);
    let inspection = inspect(&bytes, &limits()).expect("a component");
    let json = serde_json::to_value(&inspection).expect("it serialises");
    assert_eq!(json["digest"], Digest::of(&bytes).to_string());
    assert_eq!(json["size_bytes"], bytes.len());
    assert_eq!(json["class"]["fits"], "no-class");
    assert_eq!(json["imports"][0]["name"], "tavora:platform/secrets@0.1.0");
    assert_eq!(json["imports"][0]["kind"], "instance");
    assert_eq!(json["imports"][0]["place"], "at the top level");
    let keys: Vec<&String> = json.as_object().expect("an object").keys().collect();
    assert_eq!(
        keys,
        ["digest", "size_bytes", "class", "imports", "exports"]
    );
}

#[test]
fn a_secret_import_is_named_wherever_it_stands() {
    for (place, text) in [
        (
            "at the top level",
            r#"(component (import "tavora:platform/secrets@0.1.0" (instance)))"#,
        ),
        (
            "in nested component 1",
            r#"(component (component) (component (import "tavora:platform/secrets@0.1.0" (instance))))"#,
        ),
        (
            "in nested component 0 of nested component 0",
            r#"(component (component (component (import "tavora:platform/secrets@0.1.0" (instance)))))"#,
        ),
        (
            "in core module 0 of nested component 0",
            r#"(component (component
                (core module (import "tavora:platform/secrets@0.1.0" "resolve" (func)))))"#,
        ),
        (
            "in a component type",
            r#"(component (type (component (import "tavora:platform/secrets@0.1.0" (instance)))))"#,
        ),
        (
            "in a core module type",
            r#"(component (core type (module (import "tavora:platform/secrets@0.1.0" "x" (func)))))"#,
        ),
        (
            "in a component type",
            r#"(component (type (instance
                (type (component (import "tavora:platform/secrets@0.1.0" (instance)))))))"#,
        ),
    ] {
        let refusal = refusal_of(Class::Agent, text);
        let named = format!("tavora:platform/secrets@0.1.0 ({place}");
        assert!(refusal.contains(&named), "{refusal}\nshould name {named}");
    }
}

#[test]
fn aliases_instances_and_arguments_are_read_too() {
    for text in [
        r#"(component
            (component $c (instance $i) (export "tavora:platform/secrets@0.1.0" (instance $i)))
            (instance $c (instantiate $c))
            (alias export $c "tavora:platform/secrets@0.1.0" (instance)))"#,
        r#"(component
            (instance $i)
            (instance (export "tavora:platform/secrets@0.1.0" (instance $i))))"#,
        r#"(component
            (component $c)
            (instance $i)
            (instance (instantiate $c (with "tavora:platform/secrets@0.1.0" (instance $i)))))"#,
    ] {
        let refusal = refusal_of(Class::Agent, text);
        assert!(
            refusal.contains("tavora:platform/secrets@0.1.0 (at the top level)"),
            "{refusal}"
        );
    }
}

#[test]
fn what_an_allowed_interface_holds_is_checked() {
    let with = |held: &str| {
        refusal_of(
            Class::Agent,
            &format!(r#"(component (import "tavora:platform/tools@0.1.0" (instance {held})))"#),
        )
    };
    for (held, reason) in [
        (
            r#"(export "resolve" (func (param "name" string)))"#,
            "it also holds the function `resolve`",
        ),
        (
            r#"(export "log" (func (param "line" string) (result string)))"#,
            "its `log` is `func(line: string) -> string`",
        ),
        (
            r#"(export "tavora:platform/secrets@0.1.0" (instance))"#,
            "it also holds `tavora:platform/secrets@0.1.0`, which is no function",
        ),
        (
            r#"(export "vault" (type (sub resource)))"#,
            "it also holds the resource `vault`",
        ),
        (
            r#"(export "c" (component (import "x" (func))))"#,
            "it also holds `c`, which is no function",
        ),
    ] {
        let refusal = with(held);
        assert!(refusal.contains(reason), "{refusal}\nshould say {reason}");
    }
    let as_function = refusal_of(
        Class::Agent,
        r#"(component (import "tavora:platform/tools@0.1.0" (func)))"#,
    );
    assert!(
        as_function.contains("it is not imported as an instance"),
        "{as_function}"
    );
}

#[test]
fn plumbing_between_parts_is_not_an_import() {
    let text = r#"(component
        (component (type string) (import "import-type-t" (type (eq 0))) (import "import-func-run" (func)))
        (core module (import "" "0" (func)) (import "$root" "x" (func)) (import "env" "memory" (memory 1))
            (import "GOT.mem" "y" (global i32)) (import "[export]$root" "z" (func))))"#;
    let refusal = inspect_text(text)
        .refusal_for(Class::Agent)
        .expect("no export");
    assert_eq!(refusal.objections(), []);
}

#[test]
fn a_tool_may_be_composed_of_parts_that_call_one_another() {
    let text = r#"(component
        (component (import "my:parts/parser@1.0.0" (instance)))
        (core module (import "wasi_snapshot_preview1" "fd_write" (func))
            (import "wasi:cli/environment@0.2.3" "get-environment" (func))))"#;
    let inspection = inspect_text(text);
    let tool = inspection.refusal_for(Class::Tool).expect("no export");
    assert_eq!(tool.objections(), []);
    let agent = inspection
        .refusal_for(Class::Agent)
        .expect("no export")
        .to_string();
    for name in [
        "my:parts/parser@1.0.0",
        "wasi_snapshot_preview1",
        "wasi:cli/environment@0.2.3",
    ] {
        assert!(agent.contains(name), "{agent}");
    }
    let outside = refusal_of(
        Class::Tool,
        r#"(component (import "my:parts/parser@1.0.0" (instance)))"#,
    );
    assert!(
        outside.contains("my:parts/parser@1.0.0 (at the top level)"),
        "{outside}"
    );
}

#[test]
fn a_long_list_of_imports_and_a_hostile_name_stay_readable() {
    let imports: String = (0..50)
        .map(|n| format!(r#"(import "evil:many/i{n}@1.0.0" (instance))"#))
        .collect();
    let refusal = refusal_of(Class::Agent, &format!("(component {imports})"));
    assert!(
        refusal.contains("evil:many/i19@1.0.0") && refusal.contains("and 30 more"),
        "{refusal}"
    );

    let name = format!(r"a:b/\1b[31m\n{}", "x".repeat(500));
    let refusal = refusal_of(
        Class::Agent,
        &format!(r#"(component (core module (import "{name}" "f" (func))))"#),
    );
    assert!(
        refusal.contains(r"\u{1b}[31m\n") && !refusal.contains(char::is_control),
        "{refusal}"
    );
    assert!(refusal.len() < 600, "{refusal}");
}

#[test]
fn files_of_other_kinds_are_called_by_their_kind() {
    for (bytes, words) in [
        (b"".as_slice(), "empty"),
        (b"<!doctype html>", "a web page"),
        (b"  (component)", "WebAssembly text"),
        (b";; a comment\n(module)", "WebAssembly text"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "Git LFS pointer",
        ),
        (b"PK\x03\x04rest", "an archive"),
        (b"\x7fELF\x02\x01", "a native program"),
        (b"hello", "a text file"),
        (b"\xff\xfe\x00\x01", "some other binary"),
        (b"\0as", "cut off"),
        (b"\0asm\x0d\0\x01", "cut off"),
        (b"\0asm\x01\0\0\0", "core WebAssembly module"),
        (b"\0asm\x0a\0\x01\0", "unknown format (version 10, layer 1)"),
        (b"\0asm\x0d\0\x01\0\x07", "cut off at byte 9"),
        (b"\0asm\x0d\0\x01\0\x07\x02\x01", "cut off at byte 11"),
        (b"\0asm\x0d\0\x01\0\x07\x02\x01\x00", "not valid at byte"),
        (b"\0asm\x0d\0\x01\0\x63\x00", "not valid at byte"),
    ] {
        let fault = fault_of(bytes);
        assert!(fault.contains(words), "{fault}\nshould say {words}");
    }
}

#[test]
fn features_that_the_host_does_not_run_are_refused() {
    for (feature, text) in [
        ("async", "(component (type (func async)))"),
        ("stream", "(component (type (stream u8)))"),
        ("threads", "(component (core module (memory 1 1 shared)))"),
        ("memory64", "(component (core module (memory i64 1)))"),
        ("gc", "(component (core module (type (struct))))"),
        ("exceptions", "(component (core module (tag)))"),
        ("externref", "(component (core module (table 1 externref)))"),
        (
            "custom pages",
            "(component (core module (memory 1 (pagesize 1))))",
        ),
        (
            "wide arithmetic",
            "(component (core module (func (param i64 i64 i64 i64)
            (drop (i64.add128 (local.get 0) (local.get 1) (local.get 2) (local.get 3))) drop)))",
        ),
    ] {
        let error = inspect(&encode(text), &limits()).expect_err(feature);
        assert!(
            matches!(
                error,
                NotAComponent::FeatureOff { .. } | NotAComponent::Invalid { .. }
            ),
            "{feature}: {error}"
        );
    }
    for text in [
        "(component (core module (memory 1) (memory 1)))",
        "(component (core module (func $f return_call $f)))",
        "(component (core module (func (drop (v128.const i64x2 0 0)))))",
    ] {
        inspect_text(text);
    }
}

#[test]
fn bodies_of_functions_are_validated() {
    let fault = fault_of(&encode("(component (core module (func (result i32))))"));
    assert!(fault.contains("not valid at byte"), "{fault}");
}

#[test]
fn every_limit_is_kept_and_named() {
    let nested = |depth: usize| "(component ".repeat(depth) + &")".repeat(depth);
    let depth = |n| inspect(&encode(&nested(n)), &limits());
    assert!(depth(33).is_ok());
    let error = depth(34).expect_err("too deep").to_string();
    assert!(
        error.contains("limits.component.max_depth, which is 32"),
        "{error}"
    );

    let small = InspectionLimits {
        max_bytes: 100,
        max_function_bytes: 20,
        max_parts: 3,
        max_imports: 2,
        ..limits()
    };
    let parts = |n: usize| {
        inspect(
            &encode(&format!("(component {})", "(component)".repeat(n))),
            &small,
        )
    };
    assert!(parts(3).is_ok());
    let error = parts(4).expect_err("too many").to_string();
    assert!(error.contains("max_parts, which is 3"), "{error}");

    let imports = |n: usize| {
        let list: String = (0..n)
            .map(|i| format!(r#"(import "a{i}" (instance))"#))
            .collect();
        inspect(&encode(&format!("(component {list})")), &small)
    };
    assert!(imports(2).is_ok());
    let error = imports(3).expect_err("too many").to_string();
    assert!(error.contains("max_imports, which is 2"), "{error}");

    let tight = InspectionLimits {
        max_expanded_types: 10,
        max_expanded_instances: 4,
        ..limits()
    };
    let types = |n: usize| {
        let text = format!("(component {})", "(type string)".repeat(n));
        inspect(&encode(&text), &tight)
    };
    assert!(types(10).is_ok());
    let error = types(11).expect_err("too many").to_string();
    assert!(error.contains("max_expanded_types, which is 10"), "{error}");
    // The inner instances count each time.
    let instances = |n: usize| {
        let inside = "(component $c (core module $m) (core instance (instantiate $m)))";
        let text = format!(
            "(component {inside} {})",
            "(instance (instantiate $c))".repeat(n)
        );
        inspect(&encode(&text), &tight)
    };
    assert!(instances(1).is_ok());
    let error = instances(2).expect_err("too many").to_string();
    assert!(
        error.contains("max_expanded_instances, which is 4"),
        "{error}"
    );

    let sized = |n: usize| {
        let mut bytes = encode("(component)");
        let filler = n - bytes.len() - 2;
        bytes.extend([0, u8::try_from(filler).expect("below 128"), 0]);
        bytes.resize(n, b' ');
        inspect(&bytes, &small)
    };
    assert!(sized(100).is_ok());
    let error = sized(101).expect_err("too large").to_string();
    assert!(
        error.contains("101 bytes and limits.component.max_bytes is 100"),
        "{error}"
    );

    let function = |n: usize| {
        let nops = "nop ".repeat(n - 2);
        let text = format!("(component (core module (func {nops})))");
        inspect(&encode(&text), &small)
    };
    assert!(function(20).is_ok());
    let error = function(21).expect_err("too large").to_string();
    assert!(
        error.contains("21 bytes and limits.component.max_function_bytes is 20"),
        "{error}"
    );

    let unknown = toml::from_str::<InspectionLimits>("max_dept = 1").expect_err("no such key");
    assert!(unknown.to_string().contains("max_dept"), "{unknown}");
}

#[test]
fn no_truncation_panics_or_passes_for_more_than_it_is() {
    let agent = component_of("agent-sandbox");
    for end in 0..agent.len() {
        let _ = inspect(&agent[..end], &limits());
    }
    let tool = component_of("trusted-tool");
    for end in (0..tool.len()).step_by(7) {
        if let Ok(inspection) = inspect(&tool[..end], &limits()) {
            assert!(
                !matches!(inspection.class, Fit::Agent),
                "the first {end} bytes pass for an agent"
            );
        }
    }
}

#[test]
fn no_mutation_panics_or_makes_an_agent_of_a_tool_that_imports_secrets() {
    const ROUNDS: usize = 4_000;
    let whole = component_of("trusted-tool");
    let mut random = Xorshift(0x5eed_1e55_ca5c_ade5);
    for round in 0..ROUNDS {
        let mut bytes = whole.clone();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len());
            match random.below(4) {
                0 => bytes[at] ^= 1 << random.below(8),
                1 => bytes[at] = random.next() as u8,
                2 => drop(bytes.remove(at)),
                _ => bytes.insert(at, random.next() as u8),
            }
        }
        if let Ok(inspection) = inspect(&bytes, &limits()) {
            assert!(!matches!(inspection.class, Fit::Agent), "round {round}");
        }
    }
}

#[test]
fn deep_nesting_costs_neither_stack_nor_time() {
    let start = Instant::now();
    // Components nested 20,000 deep, built from the inside out.
    let header = b"\0asm\x0d\0\x01\0";
    let mut sizes = vec![header.len()];
    for _ in 0..20_000 {
        let inner = sizes[sizes.len() - 1];
        sizes.push(header.len() + 1 + leb(inner).len() + inner);
    }
    let mut bytes = Vec::new();
    for inner in sizes.iter().rev().skip(1) {
        bytes.extend(header);
        bytes.push(4);
        bytes.extend(leb(*inner));
    }
    bytes.extend(header);
    assert!(matches!(
        inspect(&bytes, &limits()),
        Err(NotAComponent::TooDeep { .. })
    ));

    // Instance types nested a million deep, on which a recursive parser overflows its stack.
    let mut types = vec![1];
    types.extend([0x42, 0x01, 0x01].repeat(1_000_000));
    let mut bytes = header.to_vec();
    bytes.push(7);
    bytes.extend(leb(types.len()));
    bytes.extend(types);
    assert!(matches!(
        inspect(&bytes, &limits()),
        Err(NotAComponent::TypesTooDeep { .. })
    ));

    // Types at the limit must fit on the stack of a test thread.
    let mut types = vec![1];
    types.extend([0x42, 0x01, 0x01].repeat(199));
    types.extend([0x42, 0x00]);
    let mut bytes = header.to_vec();
    bytes.push(7);
    bytes.extend(leb(types.len()));
    bytes.extend(types);
    inspect(&bytes, &limits()).expect("as deep as types may be");

    // A type whose text would have 3^60 words.
    let mut text = String::from("(component (type $t0 (tuple string string string))");
    for n in 1..60 {
        let m = n - 1;
        text += &format!("(type $t{n} (tuple $t{m} $t{m} $t{m}))");
    }
    text += r#"(import "tavora:platform/tools@0.1.0" (instance
        (alias outer 1 $t59 (type $t)) (export "log" (func (param "line" $t))))))"#;
    let outcome = inspect(&encode(&text), &limits());
    assert!(outcome.is_err() || outcome.is_ok_and(|i| i.refusal_for(Class::Agent).is_some()));
    assert!(
        start.elapsed() < Duration::from_secs(120),
        "{:?}",
        start.elapsed()
    );
}

fn leb(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// Marsaglia's xorshift: the same numbers in every run.
struct Xorshift(u64);

impl Xorshift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
