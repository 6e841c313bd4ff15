//! The bombs: small components that grow large when they are inspected, compiled or linked.

use std::time::{SystemTime, UNIX_EPOCH};

const TYPES: &str = "limits.component.max_expanded_types";
const INSTANCES: &str = "limits.component.max_expanded_instances";
const CPU: &str = "limits.component.worker_cpu_ms";
const MEMORY: &str = "limits.component.worker_memory_bytes";
const COMPILED: &str = "limits.component.max_compiled_bytes";

/// The limits that the compiler can hit, depending on the speed of the machine.
const COMPILER: &[&str] = &[CPU, MEMORY, COMPILED];

/// A component and its allowed outcomes.
pub(super) struct Bomb {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    /// The limits, one of which ends it.
    pub limits: &'static [&'static str],
    /// Whether it may also run. A machine that is fast enough compiles it within the limits.
    pub may_run: bool,
}

impl Bomb {
    /// Whether the outcome is allowed. `said` is the error, or `None` if it runs.
    pub fn is_right(&self, said: Option<&str>) -> bool {
        match said {
            None => self.may_run,
            Some(said) => self.limits.iter().any(|limit| said.contains(limit)),
        }
    }
}

pub(super) fn all() -> Vec<Bomb> {
    let bomb = |name, bytes, limits: &'static [&'static str]| Bomb {
        name,
        bytes,
        limits,
        may_run: limits == COMPILER,
    };
    vec![
        bomb("nested resource types", nested_resources(), &[TYPES]),
        bomb("a file of types", file_of_types(), &[TYPES]),
        bomb("a type that is imported often", imported_often(), &[TYPES]),
        bomb("instances that double", doubling_instances(), &[INSTANCES]),
        bomb(
            "components as arguments that double",
            doubling_arguments(),
            &["it imports a component"],
        ),
        bomb(
            "table.copy",
            agent_with(&tables(
                "(table.copy (i32.const 0) (i32.const 0) (i32.const 1))",
                45_000,
            )),
            COMPILER,
        ),
        bomb(
            "table.grow",
            agent_with(&tables(
                "(drop (table.grow (ref.null func) (i32.const 0)))",
                200_000,
            )),
            COMPILER,
        ),
        bomb(
            "call_indirect",
            agent_with(&tables("(call_indirect (type $t) (i32.const 0))", 200_000)),
            COMPILER,
        ),
        bomb("branches to where variables meet", slow(), COMPILER),
        bomb("loops without variables", agent_with(&loops()), COMPILER),
        bomb("memory images", memory_images(), COMPILER),
        bomb("table images", agent_with(&table_images()), COMPILER),
        bomb("adapters of a large type", adapters(), COMPILER),
    ]
}

/// An agent that fits its class, with one more core module.
pub(super) fn agent_with(module: &str) -> Vec<u8> {
    agent_beside(&format!(
        "(core module (func (drop (i64.const {}))) {module})",
        nonce()
    ))
}

/// An agent that fits its class, with other parts beside it.
fn agent_beside(parts: &str) -> Vec<u8> {
    let quiet = include_str!("../../../../guests/quiet.wat");
    let start = quiet.find("(component").expect("it is a component");
    let (head, rest) = quiet[start..].split_at("(component".len());
    wat::parse_str(format!("{head} {parts} {rest}")).expect("it is valid")
}

/// A function that branches again and again to a place where 50 variables meet.
pub(super) fn slow() -> Vec<u8> {
    agent_with(&meeting(8_000).repeat(60))
}

fn meeting(branches: usize) -> String {
    let locals = "i32 ".repeat(50);
    let branches: String = (0..branches)
        .map(|n| format!("i32.const {n} local.tee {} br_if 0 ", n % 50))
        .collect();
    let uses: String = (0..50).map(|n| format!("local.get {n} drop ")).collect();
    format!("(func (local {locals}) block {branches} end {uses})")
}

fn tables(instruction: &str, times: usize) -> String {
    let bodies = instruction.repeat(times / 20);
    let functions = format!("(func {bodies})").repeat(20);
    format!("(type $t (func)) (table 10 funcref) {functions}")
}

fn loops() -> String {
    let nested = format!("{}{}", "loop ".repeat(20_000), "end ".repeat(20_000));
    format!("(func {nested})").repeat(100)
}

/// Modules with two bytes each, 16 MiB apart.
fn memory_images() -> Vec<u8> {
    let module =
        "(core module (memory 256) (data (i32.const 0) \"a\") (data (i32.const 16777215) \"b\"))";
    agent_beside(&format!(
        "(core module (func (drop (i64.const {})))) {}",
        nonce(),
        module.repeat(120)
    ))
}

/// Tables with one element each, at the end.
fn table_images() -> String {
    let tables: String = (0..20)
        .map(|n| {
            format!("(table $t{n} 20000 funcref) (elem (table $t{n}) (i32.const 19999) func $f)")
        })
        .collect();
    format!("(func $f) {tables}")
}

/// Two components that call each other's functions. They pass a tree of tuples, which an adapter
/// copies leaf by leaf.
fn adapters() -> Vec<u8> {
    const DEPTH: usize = 10;
    const FUNCTIONS: usize = 40;
    let mut types = String::from("(type $t0 (tuple u8 string)) ");
    for level in 1..=DEPTH {
        let inner = level - 1;
        types += &format!("(type $t{level} (tuple $t{inner} $t{inner})) ");
    }
    types += &format!("(type $f (func (param \"x\" (list $t{DEPTH})))) ");
    let each = |text: &dyn Fn(usize) -> String| (0..FUNCTIONS).map(text).collect::<String>();
    let memory = "(core module $m (memory (export \"m\") 1) \
                  (func (export \"r\") (param i32 i32 i32 i32) (result i32) i32.const 0) \
                  (func (export \"f\") (param i32 i32))) (core instance $i (instantiate $m))";
    let options = "(memory $i \"m\") (realloc (func $i \"r\"))";
    let lifted = each(&|n| {
        format!("(func (export \"f{n}\") (type $f) (canon lift (core func $i \"f\") {options}))")
    });
    let imported = each(&|n| format!("(import \"f{n}\" (func $f{n} (type $f)))"));
    let lowered = each(&|n| format!("(core func $l{n} (canon lower (func $f{n}) {options}))"));
    let given = each(&|n| format!("(export \"f{n}\" (func $l{n}))"));
    let wanted = each(&|n| format!("(import \"\" \"f{n}\" (func (param i32 i32)))"));
    let arguments = each(&|n| format!("(with \"f{n}\" (func $a \"f{n}\"))"));
    agent_beside(&format!(
        "(component $A {types} {memory} {lifted}) (instance $a (instantiate $A)) \
         (component $B {types} {imported} {memory} {lowered} (core module $n {wanted}) \
         (core instance (instantiate $n (with \"\" (instance {given}))))) \
         (instance (instantiate $B {arguments}))"
    ))
}

/// Instance types, each of which contains the previous one twice.
fn nested_resources() -> Vec<u8> {
    let mut text = String::from(
        "(component (type $t0 (instance (export \"a\" (type (sub resource))) (export \"b\" (type (sub resource)))))",
    );
    for level in 1..40 {
        text += &format!(
            "(type $t{level} (instance (alias outer 1 $t{} (type $x)) (export \"a\" (instance (type $x))) (export \"b\" (instance (type $x)))))",
            level - 1
        );
    }
    text += "(import \"tavora:platform/tools@0.1.0\" (instance (type $t39))))";
    wat::parse_str(text).expect("it is a component")
}

/// Sections of as many types as are allowed, each type in one byte.
fn file_of_types() -> Vec<u8> {
    let mut section = Vec::new();
    for _ in 0..60 {
        // A nested component has a section of its own.
        let count = 999_999usize;
        let mut types = leb(count);
        types.extend(std::iter::repeat_n(0x7f, count));
        let mut inner = b"\0asm\x0d\0\x01\0\x07".to_vec();
        inner.extend(leb(types.len()));
        inner.extend(types);
        section.push(4);
        section.extend(leb(inner.len()));
        section.extend(inner);
    }
    [b"\0asm\x0d\0\x01\0".to_vec(), section].concat()
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

/// Thousands of imports of a type that has thousands of functions.
fn imported_often() -> Vec<u8> {
    let functions: String = (0..5_000)
        .map(|n| format!("(export \"f{n}\" (func (param \"a\" $r) (result $r)))"))
        .collect();
    let record: String = (0..50)
        .map(|n| format!("(field \"f{n}\" string)"))
        .collect();
    let imports: String = (0..5_000)
        .map(|n| format!("(import \"tavora:platform/tools@0.1.{n}\" (instance (type $t)))"))
        .collect();
    let text = format!(
        "(component (type $t (instance (type $r' (record {record})) (export \"r\" (type $r (eq $r'))) {functions})) {imports})"
    );
    wat::parse_str(text).expect("it is a component")
}

/// Components, each of which instantiates the previous one twice.
fn doubling_instances() -> Vec<u8> {
    let mut parts =
        String::from("(component $c0 (core module $m) (core instance (instantiate $m)))");
    for level in 1..40 {
        parts += &format!(
            "(component $c{level} (alias outer 1 $c{} (component $x)) (instance (instantiate $x)) (instance (instantiate $x)))",
            level - 1
        );
    }
    parts += "(instance (instantiate $c39))";
    agent_beside(&parts)
}

/// Components that instantiate their argument twice, each given the next one. No count of the
/// binary's content shows how much that is, so an agent's parts get no components as arguments.
fn doubling_arguments() -> Vec<u8> {
    let mut parts =
        String::from("(component $c0 (core module $m) (core instance (instantiate $m)))");
    // Each takes a component and returns one that instantiates it twice.
    for level in 1..24 {
        parts += &format!(
            "(component $d{level} (import \"c\" (component $c)) (component $e (alias outer 1 $c (component $x)) (instance (instantiate $x)) (instance (instantiate $x))) (export \"e\" (component $e)))
             (instance $i{level} (instantiate $d{level} (with \"c\" (component $c{0}))))
             (alias export $i{level} \"e\" (component $c{level}))",
            level - 1
        );
    }
    parts += "(instance (instantiate $c23))";
    agent_beside(&parts)
}

/// Bytes that no test has compiled before, because compiled code is kept.
fn nonce() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("after 1970").as_nanos() as u64
}
