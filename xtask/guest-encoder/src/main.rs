//! `guest-encoder INPUT OUTPUT [--init] [--import NAME]... [--any-import]`
//!
//! Makes a component of the core module that a guest was compiled to. With `--init` it first calls
//! the module's export `wizer-initialize` and keeps the resulting memory, so that the component
//! starts from there.
//!
//! The component is written only if it imports exactly the interfaces named by `--import`.
//! `--any-import` is for components of other projects. Nothing is linked while a module is
//! initialised, not even WASI: a module that calls an import ends the build.

use anyhow::{Context, Result, anyhow, bail, ensure};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::{env, fs};
use wasmparser::{Parser, Payload};
use wasmtime::{Engine, Linker, Store};
use wasmtime_wizer::Wizer;
use wit_component::ComponentEncoder;

const INIT_FUNCTION: &str = "wizer-initialize";

fn main() -> Result<()> {
    let task = Task::from_args(env::args().skip(1))?;
    let mut module = fs::read(&task.input)
        .with_context(|| format!("{} cannot be read", task.input.display()))?;
    if task.is_initialised {
        module = initialise(&module)?;
    }
    let component = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|mut encoder| encoder.encode())
        .with_context(|| format!("{} cannot be made a component", task.input.display()))?;
    if let Some(allowed) = &task.imports {
        check_imports(&component, allowed)?;
    }
    write_whole(&component, &task)
}

/// The task of the command line.
#[derive(Debug, PartialEq, Eq)]
struct Task {
    input: PathBuf,
    output: PathBuf,
    is_initialised: bool,
    /// The allowed imports; `None` where this program does not decide them.
    imports: Option<BTreeSet<String>>,
}

impl Task {
    fn from_args(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let mut files = Vec::new();
        let mut is_initialised = false;
        let mut is_checked = true;
        let mut imports = BTreeSet::new();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--init" => is_initialised = true,
                "--any-import" => is_checked = false,
                "--import" => {
                    imports.insert(
                        args.next()
                            .context("--import needs the name of an interface")?,
                    );
                }
                option if option.starts_with("--") => bail!("there is no option {option}"),
                file => files.push(PathBuf::from(file)),
            }
        }
        let Ok([input, output]) = <[PathBuf; 2]>::try_from(files) else {
            bail!("usage: guest-encoder INPUT OUTPUT [--init] [--import NAME]... [--any-import]");
        };
        Ok(Self {
            input,
            output,
            is_initialised,
            imports: is_checked.then_some(imports),
        })
    }
}

/// The module with the memory that its `wizer-initialize` leaves.
fn initialise(module: &[u8]) -> Result<Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut store = Store::new(&Engine::default(), ());
    let mut wizer = Wizer::new();
    wizer.init_func(INIT_FUNCTION);
    let initialised = wizer.run(&mut store, module, async |store, module| {
        let mut linker = Linker::new(store.engine());
        // A module needs its imports to be instantiated. Calling one is an error.
        linker.define_unknown_imports_as_traps(module)?;
        linker.instantiate_async(store, module).await
    });
    runtime
        .block_on(initialised)
        .map_err(|error| anyhow!("the module cannot be initialised: {error:#}"))
}

/// Checks that the imports at the top of `component` are exactly those of `allowed`. A list that
/// people read must stay true.
fn check_imports(component: &[u8], allowed: &BTreeSet<String>) -> Result<()> {
    let found = imports(component)?;
    let more: Vec<_> = found.difference(allowed).cloned().collect();
    let less: Vec<_> = allowed.difference(&found).cloned().collect();
    ensure!(
        more.is_empty(),
        "the component imports {}, which it must not",
        more.join(", ")
    );
    ensure!(
        less.is_empty(),
        "the component does not import {}; take it off the list",
        less.join(", ")
    );
    Ok(())
}

fn imports(component: &[u8]) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    names.insert(import?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

/// Writes the component in one step. A file that already has the same bytes is left alone, so that
/// nothing is rebuilt because of it.
fn write_whole(component: &[u8], task: &Task) -> Result<()> {
    if fs::read(&task.output).is_ok_and(|known| known == component) {
        return Ok(());
    }
    let unfinished = task.output.with_extension("unfinished");
    fs::write(&unfinished, component)
        .and_then(|()| fs::rename(&unfinished, &task.output))
        .with_context(|| format!("{} cannot be written", task.output.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(args: &[&str]) -> Result<Task> {
        Task::from_args(args.iter().map(|arg| (*arg).to_owned()))
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_command_line_is_two_files_and_options() {
        let parsed = task(&["in.wasm", "--import", "a:b/c", "out.wasm", "--init"]).expect("parses");
        assert_eq!(parsed.input, PathBuf::from("in.wasm"));
        assert_eq!(parsed.output, PathBuf::from("out.wasm"));
        assert!(parsed.is_initialised);
        assert_eq!(parsed.imports, Some(names(&["a:b/c"])));
        let nothing = task(&["in", "out"]).expect("parses");
        assert_eq!(
            nothing.imports,
            Some(names(&[])),
            "no allowed import is not the same as any import"
        );
        let any = task(&["in", "out", "--any-import"]).expect("parses");
        assert_eq!(any.imports, None);
        for wrong in [
            &["in"][..],
            &["in", "out", "more"],
            &["in", "out", "--else"],
            &["--import"],
        ] {
            assert!(task(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_import_too_many_or_too_few_is_named() {
        let component = wat::parse_str(
            r#"(component
                (import "a:b/c@0.1.0" (instance))
                (component (import "a:b/inner" (instance)))
                (core module (import "env" "f" (func))))"#,
        )
        .expect("parses");
        check_imports(&component, &names(&["a:b/c@0.1.0"])).expect("is the list");
        let error = check_imports(&component, &names(&[])).expect_err("too many");
        assert!(error.to_string().contains("a:b/c@0.1.0"), "{error}");
        let error =
            check_imports(&component, &names(&["a:b/c@0.1.0", "a:b/d"])).expect_err("too few");
        assert!(error.to_string().contains("a:b/d"), "{error}");
    }

    #[test]
    fn a_module_starts_where_its_initialisation_ended() {
        let module = wat::parse_str(
            r#"(module
                (import "env" "host" (func))
                (memory (export "memory") 1)
                (func (export "wizer-initialize") (i32.store8 (i32.const 7) (i32.const 42)))
                (func (export "read") (result i32) (i32.load8_u (i32.const 7))))"#,
        )
        .expect("parses");
        let initialised = initialise(&module).expect("initialises");
        let engine = Engine::default();
        let module = wasmtime::Module::new(&engine, initialised).expect("is a module");
        assert!(module.get_export(INIT_FUNCTION).is_none());
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        linker
            .define_unknown_imports_as_traps(&module)
            .expect("defines");
        let instance = linker
            .instantiate(&mut store, &module)
            .expect("instantiates");
        let read = instance
            .get_typed_func::<(), i32>(&mut store, "read")
            .expect("is there");
        assert_eq!(read.call(&mut store, ()).expect("reads"), 42);
    }

    #[test]
    fn an_initialisation_that_calls_an_import_fails() {
        let module = wat::parse_str(
            r#"(module
                (import "env" "host" (func $host))
                (memory (export "memory") 1)
                (func (export "wizer-initialize") (call $host)))"#,
        )
        .expect("parses");
        assert!(initialise(&module).is_err());
    }
}
