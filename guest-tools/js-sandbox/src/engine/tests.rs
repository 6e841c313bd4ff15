//! What a program sees, in a native build of the same engine with a platform that
//! answers from memory. The component itself is tested in the project's `tests/`.

use super::*;
use crate::bindings::tavora::platform::types::Operation;

/// Answers `echo` with its input, everything else with an error; keeps the log.
#[derive(Default)]
struct Fake {
    lines: RefCell<Vec<String>>,
}

impl Platform for Fake {
    fn list(&self) -> Vec<ToolInfo> {
        let operation = |name: &str| Operation {
            name: name.to_owned(),
            description: format!("does {name}"),
            input_schema: r#"{"type":"object"}"#.to_owned(),
        };
        vec![
            ToolInfo {
                name: "echo".to_owned(),
                operations: vec![operation("one"), operation("two")],
            },
            ToolInfo {
                name: "idle".to_owned(),
                operations: Vec::new(),
            },
            ToolInfo {
                name: "mcp:maps".to_owned(),
                operations: vec![operation("list_tools"), operation("call_tool")],
            },
            ToolInfo {
                name: "mcp:task-list".to_owned(),
                operations: vec![operation("list_tools"), operation("call_tool")],
            },
        ]
    }

    fn call(&self, call: &ToolCall) -> Result<String, ToolError> {
        match call.tool.as_str() {
            "echo" => Ok(call.input.clone()),
            "brave-search" => Ok(format!(r#"{{"results":[{}]}}"#, call.input)),
            "llm-router" if call.input.contains("no text") => {
                Ok(r#"{"choices":[{"message":{"content":null,"tool_calls":[]}}]}"#.to_owned())
            }
            "llm-router" => {
                let choice = json_text(&format!("{} {}", call.operation, call.input));
                Ok(format!(
                    r#"{{"choices":[{{"message":{{"content":{choice}}}}}]}}"#
                ))
            }
            "garbled" => Ok("{".to_owned()),
            "mcp:maps" if call.operation == "list_tools" => Ok(
                r#"{"tools":[{"name":"route"},{"name":"to-do"},{"name":"__proto__"},{"name":"picture"},{"name":"then"}]}"#
                    .to_owned(),
            ),
            "mcp:maps" => Ok(match call.input.as_str() {
                r#"{"name":"route","arguments":{"to":"Turin"}}"# => r#"{"content":[],"structuredContent":{"km":7}}"#,
                r#"{"name":"to-do","arguments":{}}"# => r#"{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}"#,
                r#"{"name":"__proto__","arguments":{}}"# => r#"{"content":[],"structuredContent":null}"#,
                _ => r#"{"content":[{"type":"text","text":"a"},{"type":"image","data":"AA=="}]}"#,
            }
            .to_owned()),
            _ => Err(ToolError {
                code: "no_vault_designated".to_owned(),
                message: "app has no vault designated".to_owned(),
            }),
        }
    }

    fn call_all(&self, calls: &[ToolCall]) -> Vec<Result<String, ToolError>> {
        calls.iter().map(|call| self.call(call)).collect()
    }

    fn log(&self, line: &str) {
        self.lines.borrow_mut().push(line.to_owned());
    }
}

fn json_text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn boot() -> (&'static Engine, Rc<Fake>) {
    let platform = Rc::new(Fake::default());
    let engine = Engine::boot(Rc::clone(&platform) as Rc<dyn Platform>);
    // As in the component, where nothing is freed.
    (Box::leak(Box::new(engine)), platform)
}

fn input(code: &str) -> RunInput {
    RunInput {
        code: code.to_owned(),
        input: r#"{"city":"Rome"}"#.to_owned(),
        now_ms: 1_700_000_000_000,
        seed: 7,
    }
}

fn run(code: &str) -> Result<String, RunError> {
    boot().0.run(&input(code))
}

#[track_caller]
fn gives(code: &str, expected: &str) {
    match run(code) {
        Ok(result) => assert_eq!(result, expected, "{code}"),
        Err(error) => panic!("{code}: {error:?}"),
    }
}

#[track_caller]
fn throws(code: &str) -> RunError {
    run(code).expect_err(code)
}

fn log_of(code: &str) -> Vec<String> {
    let (engine, platform) = boot();
    engine.run(&input(code)).expect(code);
    platform.lines.take()
}

#[test]
fn a_program_is_the_body_of_an_async_function() {
    gives("return 1 + 1", "2");
    gives("1 + 1", "null");
    gives("", "null");
    gives(
        "return await Promise.resolve({a: [1, 'é\\n', null]}) // end",
        r#"{"a":[1,"é\n",null]}"#,
    );
    gives("const input = 3; return input", "3");
    gives("return input.city", r#""Rome""#);
    gives(
        "let n = 0; for (const p of [1, 2]) n += await p; return n",
        "3",
    );
    gives(
        "let out = []; Promise.resolve().then(() => out.push(1)); await 0; return out",
        "[1]",
    );
}

#[test]
fn a_tool_call_gives_its_result_or_throws() {
    gives("return tools.call('echo', 'one', {a: 1})", r#"{"a":1}"#);
    gives("return tools.call('echo', 'one')", "{}");
    gives(
        "return search('x', {count: 3, query: 'y'})",
        r#"[{"count":3,"query":"x"}]"#,
    );
    gives(
        "try { tools.call('none', 'x') } catch (e) { return [e instanceof ToolError, e instanceof Error, e.name, e.code, e.message] }",
        r#"[true,true,"ToolError","no_vault_designated","app has no vault designated"]"#,
    );
    let error = throws("\n  tools.call('none', 'x')");
    assert_eq!(error.name, "ToolError");
    assert_eq!(error.code.as_deref(), Some("no_vault_designated"));
    assert_eq!(error.message, "app has no vault designated");
    assert_eq!(error.stack, "at <anonymous> (agent.js:2:9)");
    let error = throws("tools.call('garbled', 'x')");
    assert_eq!(error.code.as_deref(), Some("tool_failed"));
}

#[test]
fn what_is_no_call_is_a_type_error() {
    for code in [
        "tools.call(1, 'x')",
        "tools.call('echo')",
        "tools.call('echo', 'one', [])",
        "tools.call('echo', 'one', null)",
        "tools.call('echo', 'one', 'text')",
        "const a = {}; a.a = a; tools.call('echo', 'one', a)",
        "tools.all({})",
        "tools.all([{tool: 'echo'}])",
    ] {
        assert_eq!(throws(code).name, "TypeError", "{code}");
    }
}

#[test]
fn calls_at_once_give_their_outcomes_in_order() {
    gives(
        "const [a, b] = tools.all([{tool: 'none', operation: 'x'}, {tool: 'echo', operation: 'one', input: {n: 2}}]);
         return [a.ok, a.error instanceof ToolError, a.error.code, b]",
        r#"[false,true,"no_vault_designated",{"ok":true,"result":{"n":2}}]"#,
    );
    gives("return tools.all([])", "[]");
}

#[test]
fn the_tools_of_the_run_are_listed() {
    gives(
        "return tools.list().slice(0, 2)",
        r#"[{"name":"echo","operations":[{"name":"one","description":"does one","inputSchema":{"type":"object"}},{"name":"two","description":"does two","inputSchema":{"type":"object"}}]},{"name":"idle","operations":[]}]"#,
    );
}

#[test]
fn what_a_program_throws_is_told() {
    let error = throws("\n\nfunction f() { null.x }\nf()");
    assert_eq!(error.name, "TypeError");
    assert_eq!(error.code, None);
    assert_eq!(
        error.stack,
        "at f (agent.js:3:16)\nat <anonymous> (agent.js:4:1)"
    );

    let error = throws("throw {a: 1}");
    assert_eq!(error.name, "Error");
    assert_eq!(
        error.message,
        r#"the program threw a value that is no Error: {"a":1}"#
    );
    assert!(
        throws("throw null")
            .message
            .starts_with("the program threw null")
    );
    assert!(throws("throw undefined").message.ends_with(": undefined"));
    assert!(throws("throw 'text'").message.ends_with(": text"));

    let error = throws("throw Object.assign(new RangeError('far'), {code: 'not_a_tool_error'})");
    assert_eq!((error.name.as_str(), error.code), ("RangeError", None));
    let error = throws("class Mine extends ToolError {}; throw new Mine('own_code', 'words')");
    assert_eq!(error.code.as_deref(), Some("own_code"));
    let error =
        throws("throw Object.defineProperty(new Error('x'), 'message', {get() { throw 1 }})");
    assert_eq!(error.message, "");
}

#[test]
fn a_syntax_error_is_told_with_its_place_in_the_program() {
    for (code, place) in [
        ("return 1 +", "agent.js:2:1"),
        ("const a = 1;\n  const b = ];", "agent.js:2:13"),
        ("let x = 1; let x = 2", "agent.js:1:18"),
        ("/* open", "agent.js:1:"),
        ("} {", "agent.js:1:"),
        ("}); (async function () {", ""),
        ("}); (1", ""),
    ] {
        let error = throws(code);
        assert_eq!(error.name, "SyntaxError", "{code}");
        assert!(error.stack.contains(place), "{code}: {error:?}");
    }
}

#[test]
fn a_promise_that_nothing_can_settle_is_an_error() {
    let error = throws("await new Promise(() => {})");
    assert!(
        error.message.contains("nothing can settle"),
        "{}",
        error.message
    );
    let error = throws("Promise.reject(1); await new Promise(() => {})");
    assert!(
        error.message.contains("nothing can settle"),
        "{}",
        error.message
    );
}

#[test]
fn a_result_that_json_cannot_hold_is_an_error() {
    for (code, part) in [
        ("return 1n", "the result is no plain data"),
        (
            "const a = []; a.push(a); return a",
            "the result is no plain data",
        ),
        ("return () => 1", "the result is a function"),
        ("return Symbol()", "the result is a symbol"),
    ] {
        let error = throws(code);
        assert_eq!(error.name, "TypeError", "{code}");
        assert!(error.message.contains(part), "{code}: {}", error.message);
    }
    let error = throws("return {toJSON() { throw new RangeError('mine') }}");
    assert_eq!(
        (error.name.as_str(), error.message.as_str()),
        ("RangeError", "mine")
    );
}

#[test]
fn the_console_writes_lines_to_the_log() {
    let lines = log_of(
        "console.log('a', 1, {b: [2n, undefined, () => 1, null]}, [new Error('e')]);
         console.info('%s is %d of %i%%, %j', 'x', 1.5, 2.7, {a: 1}, 'more');
         console.warn('two\\nlines'); console.error(); console.debug('100%', true);
         const a = {}; a.a = a; a.b = [a, {}]; console.log(a); console.log(undefined, Symbol('s'));
         console.log('%s'); console.log('%x %s', 1)",
    );
    assert_eq!(
        lines,
        [
            r#"a 1 {"b":["2n",null,"[Function anonymous]",null]} ["Error: e"]"#,
            r#"x is 1.5 of 2%, {"a":1} more"#,
            "two",
            "lines",
            "",
            "100% true",
            r#"{"a":"[Circular]","b":["[Circular]",{}]}"#,
            "undefined Symbol(s)",
            "%s",
            "%x 1",
        ]
    );
}

#[test]
fn an_error_is_logged_with_the_frames_of_the_program() {
    let lines = log_of("\nconsole.log(new TypeError('x'), 1)");
    assert_eq!(lines, ["TypeError: x", "at <anonymous> (agent.js:2:17) 1"]);
}

#[test]
fn an_error_that_no_one_waits_for_is_in_the_log() {
    let lines = log_of("(async () => { throw new TypeError('lost') })(); return 1");
    assert_eq!(lines[0], "unhandled rejection: TypeError: lost");
    let lines = log_of("const p = Promise.reject(1); try { await p } catch {}");
    assert!(lines.is_empty(), "{lines:?}");
}

#[test]
fn a_model_is_asked_by_a_prompt_or_by_messages_and_answers_with_its_text() {
    gives(
        "const said = ai('hi \\\\ \"x\"', {model: 'gpt-4o', temperature: 0, messages: 1}); return [said.slice(0, 5), JSON.parse(said.slice(5))]",
        r#"["chat ",{"model":"gpt-4o","temperature":0,"messages":[{"role":"user","content":"hi \\ \"x\""}]}]"#,
    );
    gives(
        "return JSON.parse(ai([{role: 'system', content: 's'}]).slice(5))",
        r#"{"messages":[{"role":"system","content":"s"}]}"#,
    );
    gives(
        "const {choices} = ai('hi', {full: true}); return [choices.length, choices[0].message.content.includes('full')]",
        "[1,false]",
    );
    gives(
        "return ai('no text', {full: true}).choices[0].message.tool_calls",
        "[]",
    );
    let error = throws("return ai('no text')");
    assert_eq!(error.code.as_deref(), Some("upstream_error"));
    assert!(error.message.contains("{full: true}"), "{}", error.message);
    assert_eq!(throws("return ai(7)").name, "TypeError");
}

#[test]
fn there_is_no_door_that_is_not_named() {
    gives(
        "const known = new Set(['fetch', 'process', 'secret', 'secrets', 'setTimeout', 'performance', 'Deno', 'std', 'os', 'WebAssembly']);
         return Object.getOwnPropertyNames(globalThis).filter((name) => known.has(name))",
        "[]",
    );
    let error = throws("require('secrets')");
    assert_eq!(
        error.message,
        r#"there is no module "secrets": the MCP servers of this run are: maps, task-list"#
    );
    assert!(run("return await import('secrets')").is_err());
    assert!(run("import 'secrets'").is_err());
}

#[test]
fn an_mcp_server_is_a_module_with_a_method_for_each_tool() {
    gives(
        "const maps = require('maps');
         return [
           maps.route({to: 'Turin'}).km,
           maps['to-do'](),
           maps['__proto__'](),
           maps.picture({a: 1})[1].data,
           typeof maps.toString,
           Object.keys(maps).length,
           maps.route.name,
           require('maps') === maps,
         ]",
        r#"[7,"a\nb",null,"AA==","undefined",5,"route",true]"#,
    );
    let error = throws("require('maps').picture([])");
    assert_eq!(error.message, "the input of a tool call must be an object");
    let error = throws("require('task-list')");
    assert_eq!(error.code.as_deref(), Some("no_vault_designated"));
    for name in ["'map'", "'mcp:maps'", "'__proto__'", "'echo'", "''"] {
        let error = throws(&format!("require({name})"));
        assert!(error.message.contains("there is no module"), "{error:?}");
    }
    assert_eq!(throws("require(7)").name, "TypeError");
}

#[test]
fn a_program_that_changes_the_language_changes_it_for_itself_alone() {
    gives(
        "JSON.stringify = JSON.parse = String.prototype.slice = Reflect.apply = () => { throw 1 };
         Array.prototype[Symbol.iterator] = Error.isError = undefined;
         Object.prototype.get = Object.prototype.enumerable = 1;
         globalThis.ToolError = Object.defineProperty = undefined;
         console.log('%s', {a: 1});
         try { tools.call('none', 'x') } catch (e) { return [e.code, tools.call('echo', 'one', {b: 2}).b, tools.list().length, require('maps')['to-do']()] }",
        r#"["no_vault_designated",2,4,"a\nb"]"#,
    );
}

#[test]
fn deep_recursion_and_too_much_memory_are_errors_that_can_be_caught() {
    gives(
        "const f = () => f() + 1; try { f() } catch (e) { return e.name }",
        r#""RangeError""#,
    );
    gives(
        "const all = []; try { for (;;) all.push('x'.repeat(1 << 20)) } catch (e) { all.length = 0; return e.message }",
        r#""out of memory""#,
    );
    let error = throws("globalThis.all = []; for (;;) all.push(new Array(1000).fill(0))");
    assert!(error.message.contains("memory"), "{error:?}");
}

#[test]
fn random_numbers_are_those_of_the_seed() {
    let code = "return [Math.random(), Math.random()]";
    let first = run(code).expect(code);
    assert_eq!(first, run(code).expect(code));
    let other = boot().0.run(&RunInput {
        seed: 8,
        ..input(code)
    });
    assert_ne!(first, other.expect(code));
}

#[test]
fn an_engine_runs_one_program() {
    let (engine, _) = boot();
    engine.run(&input("globalThis.left = 1")).expect("runs");
    let error = engine.run(&input("return left")).expect_err("used up");
    assert!(
        error.message.contains("an instance of its own"),
        "{}",
        error.message
    );
}
