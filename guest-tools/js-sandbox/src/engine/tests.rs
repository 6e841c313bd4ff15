//! Tests of what a program sees. They use a native build of the same engine, with a platform that
//! answers from memory. The project's `tests/` test the component itself.

use super::*;
use crate::bindings::tavora::platform::tools::{ToolCall, ToolError, ToolInfo};
use crate::bindings::tavora::platform::types::Operation;

/// Names that have a meaning in the language.
const ODD_NAMES: [&str; 12] = [
    "then",
    "catch",
    "finally",
    "toJSON",
    "toString",
    "valueOf",
    "constructor",
    "__proto__",
    "prototype",
    "length",
    "Symbol.toPrimitive",
    "echo",
];

/// Answers `echo` with its input and everything else with an error, and keeps the log.
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
                name: "mcp:odd".to_owned(),
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
            "numbers" => Ok(r#"{"id":2047948614742839297,"n":1,"x":0.5,"s":"2047948614742839297"}"#.to_owned()),
            "fraction" => Ok("[12345678901234567.89]".to_owned()),
            "mcp:odd" if call.operation == "list_tools" => {
                let names = ODD_NAMES.map(|name| format!(r#"{{"name":"{name}"}}"#));
                Ok(format!(r#"{{"tools":[{}]}}"#, names.join(",")))
            }
            "mcp:odd" => Ok(format!(r#"{{"content":[],"structuredContent":{}}}"#, call.input)),
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
    // Leak the engine: the component frees nothing either.
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
fn what_json_loses_of_a_result_is_in_the_log() {
    for (code, result, said) in [
        (
            "return new Map([[1, 2]])",
            "{}",
            "the result has a Map, of which JSON made {}: Object.fromEntries(map) or [...map] keeps what is in it",
        ),
        (
            "return {a: [new Set([1])]}",
            r#"{"a":[{}]}"#,
            "the result has a Set, of which JSON made {}: [...set] keeps what is in it",
        ),
        (
            "return new Error('x')",
            "{}",
            "the result has an Error, of which JSON made an object without its message: String(error) keeps it",
        ),
        (
            "return NaN",
            "null",
            "the result has the number NaN, of which JSON made null: String(number) keeps it",
        ),
        (
            "return [-Infinity]",
            "[null]",
            "the result has the number -Infinity, of which JSON made null: String(number) keeps it",
        ),
        (
            "return {p: Promise.resolve(1)}",
            r#"{"p":{}}"#,
            "the result has a promise, of which JSON made {}: await it first",
        ),
        (
            "return Object.assign(new Error('x'), {code: 7})",
            r#"{"code":7}"#,
            "the result has an Error, of which JSON made an object without its message: String(error) keeps it",
        ),
        (
            "tools.call('echo', 'one', {n: NaN, b: 1n}); return 1",
            "1",
            "the input of a tool call has the number NaN, of which JSON made null: String(number) keeps it",
        ),
    ] {
        gives(code, result);
        assert_eq!(log_of(code), [said], "{code}");
    }
    let lines = log_of("return [NaN, NaN, new Map(), new Map(), Infinity]");
    assert_eq!(lines.len(), 3, "{lines:?}");
    for code in [
        "return {a: null, b: {}, c: [], d: 'null {}'}",
        "return [new Date(0), null]",
        "return {m: Object.assign(new Map(), {toJSON: () => ({})})}",
        "return {get [Symbol.toStringTag]() { throw 1 }}",
        "let n = 0; return {toJSON() { n += 1; if (n > 1) throw 1; return {} }}",
    ] {
        assert!(log_of(code).is_empty(), "{code}");
    }
}

#[test]
fn a_number_in_the_program_that_no_double_holds_is_in_the_log() {
    assert_eq!(
        log_of("const a = 1\nreturn [2047948614742839297, 2047948614742839297].length"),
        [
            "line 2 of the program has numbers that JavaScript does not hold exactly, such as \
             2047948614742839297: they are rounded here; write them as texts"
        ]
    );
    assert!(log_of("return String(2047948614742839297n)").is_empty());
}

#[test]
fn the_console_writes_lines_to_the_log() {
    let lines = log_of(
        "console.log('a', 1, {b: [2n, undefined, () => 1, null]}, [new Error('e')]);
         console.info('%s is %d of %i%%, %j', 'x', 1.5, 2.7, {a: 1}, 'more');
         console.warn('two\\nlines'); console.error(); console.debug('100%', true);
         const a = {}; a.a = a; a.b = [a, {}]; console.log(a); console.log(undefined, Symbol('s'));
         console.log('%s'); console.log('%x %s', 1); return 1",
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
    let lines = log_of("\nconsole.log(new TypeError('x'), 1); return 1");
    assert_eq!(lines, ["TypeError: x", "at <anonymous> (agent.js:2:17) 1"]);
}

#[test]
fn an_error_that_no_one_waits_for_is_in_the_log() {
    let lines = log_of("(async () => { throw new TypeError('lost') })(); return 1");
    assert_eq!(lines[0], "unhandled rejection: TypeError: lost");
    let lines = log_of("const p = Promise.reject(1); try { await p } catch {} return 1");
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
        r#"there is no module "secrets": the modules of this run are: maps, odd, task-list, echo, idle"#
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
    let error = throws("require('map')");
    assert_eq!(
        error.message,
        r#"there is no module "map" (did you mean maps?): the modules of this run are: maps, odd, task-list, echo, idle"#
    );
    for name in ["'map'", "'mcp:maps'", "'__proto__'", "'idle'", "''"] {
        let error = throws(&format!("require({name})"));
        assert!(error.message.contains("there is no module"), "{error:?}");
    }
    assert_eq!(throws("require(7)").name, "TypeError");
}

#[test]
fn another_tool_is_a_module_with_a_method_for_each_operation() {
    gives(
        "const echo = require('echo');
         return [echo.one({a: 1}).a, Object.keys(echo), `${echo}`, require('echo') === echo]",
        r#"[1,["one","two"],"[module echo]",true]"#,
    );
    let error = throws("require('echo').three()");
    assert!(
        error.message.contains("the tool \"echo\" has no operation"),
        "{error:?}"
    );
    let error = throws("require('echo').one(7)");
    assert_eq!(error.message, "the input of a tool call must be an object");
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
        r#"["no_vault_designated",2,5,"a\nb"]"#,
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

#[test]
fn a_tool_may_have_any_name_and_is_called_by_nobody_but_the_program() {
    gives(
        "const s = await require('odd'), t = await (async () => s)(), [u] = await Promise.all([s]);
         return [s === t, s === u, Object.keys(s).length, await Promise.resolve(s) === s, Object.keys(await require('odd')).at(-1)]",
        r#"[true,true,12,true,"echo"]"#,
    );
    gives(
        "const s = require('odd'); return [`${s}`, s + '', [JSON.stringify({s})], String([s])]",
        r#"["[module odd]","[module odd]",["{\"s\":{}}"],"[module odd]"]"#,
    );
    gives("return require('odd')", "{}");
    gives("return [require('odd')]", "[{}]");
    for name in ODD_NAMES {
        gives(
            &format!("return require('odd')['{name}']({{a: 1}})"),
            &format!(r#"{{"name":"{name}","arguments":{{"a":1}}}}"#),
        );
        gives(
            &format!("const s = await require('odd'); return s['{name}']().name"),
            &format!("\"{name}\""),
        );
    }
    let lines = log_of("console.log(require('odd')); return 1");
    assert!(
        lines[0].contains(r#""then":"[Function then]""#),
        "{lines:?}"
    );
}

#[test]
fn a_method_that_does_not_exist_is_told_with_those_that_do() {
    let words = r#"the MCP server "maps" has no tool "rout" (did you mean route?); it has: route, to-do, __proto__, picture, then"#;
    for (code, called) in [
        (
            "const s = require('maps'); s.rout({to: 'x'})",
            "s.rout is not a function",
        ),
        (
            "const s = require('maps');\n s.rout({to: String(1)})",
            "s.rout is not a function",
        ),
        (
            "console.log(require('maps').rout())",
            "require('maps').rout is not a function",
        ),
        (
            "const {rout} = require('maps'); rout({})",
            "rout is not a function",
        ),
        (
            "const s = require('maps'), n = 'rout'; s[n]()",
            "not a function",
        ),
        (
            "const s = require('maps'); return s.rout.x",
            "cannot read property 'x' of undefined",
        ),
    ] {
        let error = throws(code);
        assert_eq!(
            (error.name.as_str(), error.message),
            ("TypeError", format!("{called}: {words}")),
            "{code}"
        );
    }
    gives(
        "const s = require('maps'); try { s.rout() } catch (e) { return e.message.includes('did you mean route?') }",
        "true",
    );
    gives(
        "const s = require('maps'); return [typeof s.rout, s.rout?.(), 'rout' in s]",
        r#"["undefined",null,false]"#,
    );
    for code in ["tools.echo({})", "tools.echo.one({})"] {
        let error = throws(code);
        assert!(
            error.message.contains("tools.list() names the tools"),
            "{error:?}"
        );
    }
    let error = throws("search('x').then(r => r)");
    assert!(error.message.contains("there is no promise"), "{error:?}");
}

#[test]
fn what_is_no_function_is_named_where_it_is_certain() {
    for (code, message) in [
        ("const x = {}; x.y()", "x.y is not a function"),
        (
            "console.log(Math.abs(x.y()), x)\nvar x = 1",
            "cannot read property 'y' of undefined",
        ),
        ("let f; f(Math.abs(1))", "f is not a function"),
        ("let f, g = () => 1; f(g(1))", "g or f is not a function"),
        ("[1].map(undefined)", "not a function"),
        ("(void 0)()", "not a function"),
    ] {
        assert_eq!(throws(code).message, message, "{code}");
    }
}

#[test]
fn what_other_platforms_have_is_named_with_what_is_here() {
    for (code, words) in [
        (
            "await fetch('https://example.com')",
            ["fetch is not defined", "no network"],
        ),
        (
            "globalThis.fetch('x')",
            ["globalThis.fetch is not a function", "no network"],
        ),
        (
            "setTimeout(() => 1, 1)",
            ["setTimeout is not defined", "no timers"],
        ),
        (
            "await new Promise(r => setInterval(r, 1))",
            ["setInterval is not defined", "no timers"],
        ),
        (
            "return process.env.KEY",
            ["process is not defined", "credentials stay with the tools"],
        ),
        (
            "return Buffer.from('a')",
            ["Buffer is not defined", "Uint8Array"],
        ),
        (
            "module.exports = {}",
            ["module is not defined", "what it returns"],
        ),
        (
            "return Intl.NumberFormat()",
            ["Intl is not defined", "no locales"],
        ),
        (
            "return await import('fs')",
            ["could not load module 'fs'", "require(NAME)"],
        ),
        (
            "return serach('x')",
            ["serach is not defined", "did you mean search?"],
        ),
        (
            "return foo<string>(1)\nvar foo",
            ["string is not defined", "TypeScript"],
        ),
    ] {
        let error = throws(code);
        for part in words {
            assert!(error.message.contains(part), "{code}: {error:?}");
        }
    }
    gives(
        "try { fetch('x') } catch (e) { return [e.name, e.message.includes('no network'), e.stack.includes('agent.js:1:7')] }",
        r#"["ReferenceError",true,true]"#,
    );
    gives(
        "return [typeof fetch, typeof setTimeout, typeof Intl]",
        r#"["undefined","undefined","undefined"]"#,
    );
}

#[test]
fn a_program_may_come_in_a_markdown_fence() {
    for code in [
        "```js\nreturn 7\n```",
        "```javascript\r\nreturn 7\r\n```\r\n",
        "\n```\nreturn 7\n```",
        "~~~JS\nreturn 7\n~~~",
    ] {
        gives(code, "7");
    }
    assert_eq!(
        throws("```js\nnull.x\n```").stack,
        "at <anonymous> (agent.js:2:1)"
    );
    for code in [
        "Here it is:\n```js\nreturn 7\n```",
        "Program:\n```js\nreturn 7\n```\nIt returns 7.",
        "```js\nreturn 7\n```\nIt returns 7.",
        "```js\nreturn 7",
        "```js\nreturn 7\n```\n```js\nreturn 8\n```",
    ] {
        let error = throws(code);
        assert!(
            error.message.contains("has a Markdown fence"),
            "{code}: {error:?}"
        );
    }
}

#[test]
fn what_is_no_javascript_is_named() {
    for (code, words) in [
        ("import x from 'y'; return 1", "there is no import"),
        (
            "const a = 1;\nimport * as fs from 'fs'",
            "there is no import",
        ),
        ("export default async function () {}", "there is no export"),
        ("const a: number = 1; return a", "TypeScript"),
        ("function f(a: string): void {}", "TypeScript"),
        ("interface A { b: string }", "TypeScript"),
        ("return input as any", "TypeScript"),
        ("class A { private x = 1 }\nreturn 1", "TypeScript"),
        ("class A {\n  readonly x\n}", "TypeScript"),
        ("class A {\n  x: number = 1\n}", "TypeScript"),
        ("class A {\n  x: number;\n}", "TypeScript"),
        ("class A {\n  x: number\n}", "TypeScript"),
        ("class A {\n  readonly x: Row[] = []\n}", "TypeScript"),
        ("interface Row {\n  a: string\n}\nreturn 1", "TypeScript"),
        ("type A =\n  | 'a'", "TypeScript"),
        (
            "const f = async (a: Row): Promise<Row[]> => {\n}",
            "TypeScript",
        ),
        ("const f = (\n  a: string,\n  b: Row,\n) => 1", "TypeScript"),
        ("for row in rows:\n  print(row)", "Python"),
        ("if x:\n  pass", "Python"),
        ("import json\nprint(1)", "there is no import"),
        ("class A:\n  pass", "Python"),
        ("class A {\n  public constructor() {}\n}", "TypeScript"),
        ("class A {\n  constructor(private x) {}\n}", "TypeScript"),
        ("class B {}\nclass A implements B {}", "TypeScript"),
        ("const {a}: {a: string} = {a: ''}", "TypeScript"),
        ("#!/usr/bin/env node\nreturn 1", "line 1 begins with #"),
        ("const a = 1\n# comment\nreturn a", "line 2 begins with #"),
        ("def f():\n  return 1", "Python"),
        ("<code>return 1</code>", "tag <code>"),
        ("<execute>\nreturn 1\n</execute>", "tag <execute>"),
        ("<script>\nreturn 1\n</script>", "tag <script>"),
        ("return \u{201c}a\u{201d}", "U+201C"),
        ("return \u{2018}a\u{2019}", "U+2018"),
        ("const a\u{200b} = 1", "U+200B"),
        ("const a = 1;\u{2060}\nreturn a", "U+2060"),
        ("{ \"code\": \"return 1\" }", "JSON object"),
        (
            "{\n  \"language\": \"js\",\n  \"code\": \"return 1\"\n}",
            "JSON object",
        ),
    ] {
        let error = throws(code);
        assert_eq!(error.name, "SyntaxError", "{code}");
        assert!(error.message.contains(words), "{code}: {error:?}");
    }
    assert!(!throws("return {a: 1").message.contains("TypeScript"));
}

#[test]
fn a_program_that_returns_nothing_is_told_so() {
    let said =
        "the program returned nothing, so its result is null: a result is given with `return`";
    assert_eq!(log_of("1 + 1"), [said]);
    assert_eq!(log_of("(async () => 1)()"), [said]);
    assert_eq!(
        log_of("async function main() { return 1 }"),
        [format!(
            "{said}; main is never called: end with `return await main()`"
        )]
    );
    for code in ["return null", "return 0", "return undefined ?? 1"] {
        assert!(log_of(code).is_empty(), "{code}");
    }
}

#[test]
fn the_console_has_the_methods_of_other_platforms() {
    let lines = log_of(
        "console.table([{a: 1, b: 'x'}, {b: {c: 1}}, 5]); console.table({x: {y: 1, z: 2}}, ['y']); console.table(7);
         console.group('g'); console.log('in\\nside'); console.groupEnd(); console.groupEnd();
         console.count(); console.count('a'); console.count(); console.countReset(); console.count();
         console.assert(true, 'x'); console.assert(false, 'no %s', 1); console.trace('t'); console.dir({a: 1}); console.dirxml(1, 2);
         console.time('q'); console.timeLog('q'); console.timeEnd('q'); console.clear(); return 1",
    );
    assert_eq!(
        lines,
        [
            "| (index) | a | b       | Values |",
            "| 0       | 1 | x       |        |",
            "| 1       |   | {\"c\":1} |        |",
            "| 2       |   |         | 5      |",
            "| (index) | y |",
            "| x       | 1 |",
            "7",
            "g",
            "  in",
            "  side",
            "default: 1",
            "a: 1",
            "default: 2",
            "default: 1",
            "Assertion failed: no 1",
            "Trace: t",
            "{\"a\":1}",
            "1 2",
            "q: no time is measured here, as there is no clock",
            "q: no time is measured here, as there is no clock",
        ]
    );
}

#[test]
fn a_number_keeps_its_digits_and_the_log_says_how() {
    let code = "const {id, n, x, s} = tools.call('numbers', 'x'); tools.call('numbers', 'x'); return {id, n: n + 1, x, s}";
    gives(
        code,
        r#"{"id":"2047948614742839297","n":2,"x":0.5,"s":"2047948614742839297"}"#,
    );
    assert_eq!(
        log_of(code),
        [
            r#"the answer of "numbers" to x has numbers that JavaScript does not hold exactly, such as 2047948614742839297: they are texts here, with all their digits"#
        ]
    );
    gives(
        "return tools.all([{tool: 'numbers', operation: 'x'}])[0].result.id",
        r#""2047948614742839297""#,
    );
    gives(
        "return tools.call('echo', 'one', {id: 2047948614742839297n}).id",
        r#""2047948614742839297""#,
    );
    let lines = log_of("return tools.call('fraction', 'x')");
    assert!(
        lines[0].ends_with("such as 12345678901234567.89: they are rounded here"),
        "{lines:?}"
    );
    let lines = log_of("return JSON.parse('[2047948614742839297]')");
    assert!(
        lines[0].starts_with("a text that JSON.parse read has numbers"),
        "{lines:?}"
    );
    gives(
        "return JSON.parse('[1, 2]', (key, value) => value === 2 ? 3 : value)",
        "[1,3]",
    );
    assert!(log_of("return JSON.parse('[1, 0.1, 1e3]')").is_empty());

    let (engine, platform) = boot();
    let given = RunInput {
        input: r#"{"id":9223372036854775807}"#.to_owned(),
        ..input("return input")
    };
    assert_eq!(
        engine.run(&given).expect("runs"),
        r#"{"id":"9223372036854775807"}"#
    );
    assert!(platform.lines.take()[0].starts_with("the input of the run has numbers"));
}

#[test]
fn half_a_surrogate_pair_goes_out_as_the_replacement_character() {
    gives(
        "return {a: 'x\\ud83d', '\\udc00': ['😀', '\\\\ud83d']}",
        "{\"a\":\"x\u{fffd}\",\"\u{fffd}\":[\"😀\",\"\\\\ud83d\"]}",
    );
    gives(
        "return tools.call('echo', 'one', {'\\ud83d': '\\ud83d'})",
        "{\"\u{fffd}\":\"\u{fffd}\"}",
    );
    gives(
        "return tools.all([{tool: 'echo', operation: 'one', input: {a: '\\ud83d'}}])[0].result",
        "{\"a\":\"\u{fffd}\"}",
    );
    let lines = log_of(
        "console.log('\\ud83d', {'\\ud83d': 1}, Symbol('\\ud83d')); console.table({a: '\\ud83d'}); return 1",
    );
    assert_eq!(lines[0], "\u{fffd} {\"\u{fffd}\":1} Symbol(\u{fffd})");
    assert_eq!(lines[2], "| a       | \u{fffd}      |");
    for code in [
        "throw new Error('\\ud83d')",
        "throw {a: '\\ud83d'}",
        "throw '\\ud83d'",
    ] {
        assert!(throws(code).message.contains('\u{fffd}'), "{code}");
    }
}

#[test]
fn a_locale_or_time_zone_that_is_not_followed_is_told() {
    for (code, method) in [
        (
            "return new Date(0).toLocaleTimeString('en-US', {timeZone: 'America/New_York'})",
            "Date.prototype.toLocaleTimeString",
        ),
        (
            "return new Date(0).toLocaleDateString('de-DE')",
            "Date.prototype.toLocaleDateString",
        ),
        (
            "return [new Date(0)].toLocaleString()",
            "Date.prototype.toLocaleString",
        ),
        (
            "return (1234.5).toLocaleString('de-DE', {style: 'currency', currency: 'EUR'})",
            "Number.prototype.toLocaleString",
        ),
        (
            "return 1n.toLocaleString('de-DE')",
            "BigInt.prototype.toLocaleString",
        ),
        (
            "return ['ä', 'a'].sort((a, b) => a.localeCompare(b, 'de'))",
            "String.prototype.localeCompare",
        ),
        (
            "return 'i'.toLocaleUpperCase('tr')",
            "String.prototype.toLocaleUpperCase",
        ),
        (
            "return 'I'.toLocaleLowerCase('tr')",
            "String.prototype.toLocaleLowerCase",
        ),
    ] {
        let lines = log_of(code);
        assert_eq!(lines.len(), 1, "{code}: {lines:?}");
        assert!(
            lines[0].starts_with(method) && lines[0].contains("no data"),
            "{lines:?}"
        );
    }
    assert!(log_of("return ['a'.toLocaleUpperCase(), 'e\\u0301'.normalize('NFC').length, new Date(0).toISOString()]").is_empty());
    gives(
        "return [Date.prototype.toLocaleString.name, Number.prototype.toLocaleString.length]",
        r#"["toLocaleString",0]"#,
    );
}
