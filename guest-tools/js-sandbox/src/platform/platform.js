// What a program has beyond ECMAScript: search, ai, tools, require, console, input and ToolError.
// The script evaluates to a function. That function takes the functions of door.rs and the other
// scripts, installs those globals, and returns how to start a program.
//
// It runs once, before any program. All scripts keep what they need of the language in constants
// and iterate by index, so that a program that changes a built-in changes it only for itself. They
// guard no secret, because there is none.
(function (host, scripts) {
  const language = scripts.language();
  const {
    parse, stringify, rawJSON, isArray, isError, apply, wellFormed, define, append, textOf,
  } = language;
  const { console, show } = scripts.console(host, language);
  const tellLosses = scripts.losses(host, language);
  const { Error: PlainError, TypeError } = globalThis;

  // ---- Errors -------------------------------------------------------------

  let isToolError;
  class ToolError extends PlainError {
    #brand;
    constructor(code, message) {
      super(message);
      define(this, 'code', `${code}`);
    }
    static {
      isToolError = (thrown) => #brand in thrown;
    }
  }
  define(ToolError.prototype, 'name', 'ToolError');

  function describe(thrown, take) {
    if (thrown === null) {
      // The engine throws null where it has no memory left for an error.
      take('Error', undefined, 'the program threw null: it does so itself, or it used all the memory of its run', '');
      return;
    }
    if (!isError(thrown)) {
      take('Error', undefined, `the program threw a value that is no Error: ${show(thrown)}`, '');
      return;
    }
    const name = textOf(thrown, 'name') || 'Error';
    const code = isToolError(thrown) ? textOf(thrown, 'code') : undefined;
    // Where memory is used up, there may be none for the message.
    const message = textOf(thrown, 'message') || (name === 'InternalError' ? 'out of memory' : '');
    take(name, code, message, textOf(thrown, 'stack'));
  }

  // ---- Tools --------------------------------------------------------------

  function nameOf(value, what) {
    if (typeof value !== 'string') throw new TypeError(`the ${what} of a tool call must be a string`);
    return wellFormed(value);
  }

  // A tool may want an integer of 64 bits, which JSON can hold.
  const withBigInt = (key, value) => (typeof value === 'bigint' ? rawJSON(`${value}`) : value);

  function written(value) {
    try {
      return stringify(value);
    } catch {
      return stringify(value, withBigInt);
    }
  }

  function inputOf(value) {
    const isObject = typeof value === 'object' && value !== null && !isArray(value);
    const text = isObject ? written(value) : undefined;
    if (text === undefined) throw new TypeError('the input of a tool call must be an object');
    tellLosses('the input of a tool call', value, text);
    return text;
  }

  // An outcome of the host is [json] or [code, message].
  const failed = (outcome) => new ToolError(outcome[0], outcome[1]);

  function resultOf(tool, text) {
    try {
      return parse(text);
    } catch {
      throw new ToolError('tool_failed', `the tool "${tool}" gave a result that is no JSON; tell the operator`);
    }
  }

  function call(tool, operation, input = {}) {
    const outcome = host.call(nameOf(tool, 'tool'), nameOf(operation, 'operation'), inputOf(input));
    if (outcome.length !== 1) throw failed(outcome);
    return resultOf(tool, outcome[0]);
  }

  function all(calls) {
    if (!isArray(calls)) throw new TypeError('tools.all takes an array of {tool, operation, input}');
    const list = [];
    for (let at = 0; at < calls.length; at += 1) {
      const { tool, operation, input = {} } = calls[at];
      append(list, [nameOf(tool, 'tool'), nameOf(operation, 'operation'), inputOf(input)]);
    }
    const outcomes = host.all(list);
    const settled = [];
    for (let at = 0; at < outcomes.length; at += 1) {
      const outcome = outcomes[at];
      append(settled, outcome.length === 1
        ? { ok: true, result: resultOf(list[at][0], outcome[0]) }
        : { ok: false, error: failed(outcome) });
    }
    return settled;
  }

  function list() {
    const rows = host.list();
    const tools = [];
    for (let at = 0; at < rows.length; at += 1) {
      const row = rows[at];
      let tool = tools[tools.length - 1];
      if (tool === undefined || tool.name !== row[0]) {
        tool = { name: row[0], operations: [] };
        append(tools, tool);
      }
      if (row.length === 1) continue;
      append(tool.operations, { name: row[1], description: row[2], inputSchema: parse(row[3]) });
    }
    return tools;
  }

  function search(query, options) {
    return call('brave-search', 'search', { ...options, query }).results;
  }

  // A string is what the user says. `full` asks for the whole completion instead of its text.
  function ai(promptOrMessages, options) {
    const { full = false, ...rest } = { ...options };
    const messages = typeof promptOrMessages === 'string'
      ? [{ role: 'user', content: promptOrMessages }]
      : promptOrMessages;
    if (!isArray(messages)) throw new TypeError('ai takes a prompt, or an array of messages');
    const completion = call('llm-router', 'chat', { ...rest, messages });
    if (full) return completion;
    const text = completion.choices[0]?.message?.content;
    if (typeof text !== 'string') {
      throw new ToolError('upstream_error', 'the completion has no text; ask with {full: true} to see what it has');
    }
    return text;
  }

  const modules = scripts.modules(host, language, { call, nameOf, inputOf });
  scripts.errors(host, language, modules);
  scripts.locale(host, language);

  // ---- Globals ------------------------------------------------------------

  const own = { list, call, all };
  const tools = modules.watched(own, (name) => own[name], (name) => host.forCall(`tools.${name}`));
  const globals = { search, ai, tools, require: modules.require, console, ToolError };
  for (const name in globals) define(globalThis, name, globals[name]);
  define(Math, 'random', host.random);
  const parsing = {
    parse(text, reviver) {
      if (typeof text === 'string') host.read(text);
      return apply(parse, JSON, [text, reviver]);
    },
  };
  define(JSON, 'parse', parsing.parse);
  // Its origin would be the day on which the engine was booted.
  delete globalThis.performance;

  // ---- A run --------------------------------------------------------------

  function jsonOf(value) {
    if (value === undefined) return 'null';
    let text;
    try {
      text = stringify(value);
    } catch (cause) {
      if (!isError(cause) || textOf(cause, 'name') !== 'TypeError') throw cause;
      throw new TypeError(`the result is no plain data (${textOf(cause, 'message')}): return what JSON can hold`);
    }
    if (text === undefined) {
      throw new TypeError(`the result is a ${typeof value}: return what JSON can hold`);
    }
    tellLosses('the result', value, text);
    return text;
  }

  async function start(code, input) {
    try {
      define(globalThis, 'input', parse(input));
      const result = await host.compile(code)();
      if (result === undefined) host.returnedNothing();
      host.succeed(jsonOf(result));
    } catch (thrown) {
      describe(thrown, host.fail);
    }
  }

  function report(thrown) {
    describe(thrown, (name, code, message, stack) => {
      const frames = host.frames(stack);
      host.log(`unhandled rejection: ${name}: ${message}${frames === '' ? '' : `\n${frames}`}`);
    });
  }

  return { start, report };
})
