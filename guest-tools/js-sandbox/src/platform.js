// What a program has beyond ECMAScript: search, ai, tools, require, console, input and
// ToolError. Evaluates to a function that takes the functions of engine.rs, puts
// those globals in place, and gives back how to start a program.
//
// It runs once, before any program. It keeps what it needs of the language in
// constants and iterates by index, so that a program that changes a built-in
// changes it for itself alone. It holds no secret and guards none: there is none.
(function (host) {
  const { parse, stringify } = JSON;
  const { isArray } = Array;
  const { apply, defineProperty } = Reflect;
  const { isError } = Error;
  const { Error: PlainError, TypeError, String, Number } = globalThis;
  const { toWellFormed, indexOf, slice, startsWith } = String.prototype;
  const { join } = Array.prototype;
  const { floor, ceil } = Math;

  const wellFormed = (text) => apply(toWellFormed, text, []);
  const property = (object, name, value, enumerable) =>
    defineProperty(object, name, { __proto__: null, value, writable: true, configurable: true, enumerable });
  const define = (object, name, value) => property(object, name, value, false);
  const append = (array, value) => property(array, array.length, value, true);

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

  // A property of something that a program made, which may answer with anything.
  function textOf(object, name) {
    try {
      const value = object[name];
      return typeof value === 'string' ? wellFormed(value) : '';
    } catch {
      return '';
    }
  }

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
    take(name, code, textOf(thrown, 'message'), textOf(thrown, 'stack'));
  }

  // ---- Tools --------------------------------------------------------------

  function nameOf(value, what) {
    if (typeof value !== 'string') throw new TypeError(`the ${what} of a tool call must be a string`);
    return wellFormed(value);
  }

  function inputOf(value) {
    const isObject = typeof value === 'object' && value !== null && !isArray(value);
    const text = isObject ? stringify(value) : undefined;
    if (text === undefined) throw new TypeError('the input of a tool call must be an object');
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

  // A text is what the user says; `full` asks for the whole completion instead of its text.
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

  // ---- MCP servers --------------------------------------------------------

  // What the host puts before a server's name.
  const SERVER = 'mcp:';
  const modules = { __proto__: null };

  // A module has a method for each tool that its server listed when it was first required.
  function require(name) {
    const server = nameOf(name, 'server');
    if (server in modules) return modules[server];
    const tool = `${SERVER}${server}`;
    const rows = host.list();
    const known = [];
    let isKnown = false;
    for (let at = 0; at < rows.length; at += 1) {
      const row = rows[at][0];
      if (row === tool) isKnown = true;
      const isFirst = at === 0 || rows[at - 1][0] !== row;
      if (isFirst && apply(startsWith, row, [SERVER])) append(known, apply(slice, row, [SERVER.length]));
    }
    if (!isKnown) {
      const others = known.length === 0 ? 'none' : apply(join, known, [', ']);
      throw new PlainError(`there is no module "${server}": the MCP servers of this run are: ${others}`);
    }
    const listed = call(tool, 'list_tools').tools;
    const module = { __proto__: null };
    for (let at = 0; at < listed.length; at += 1) {
      const method = wellFormed(listed[at].name);
      const asks = {
        [method](input = {}) {
          inputOf(input);
          return valueOf(call(tool, 'call_tool', { name: method, arguments: input }));
        },
      };
      property(module, method, asks[method], true);
    }
    modules[server] = module;
    return module;
  }

  // What a tool gave: its structured content where it has some, its text where it is all
  // text, and its content as it came otherwise.
  function valueOf({ content, structuredContent }) {
    if (structuredContent !== undefined) return structuredContent;
    const texts = [];
    for (let at = 0; at < content.length; at += 1) {
      if (content[at].type !== 'text') return content;
      append(texts, content[at].text);
    }
    return apply(join, texts, ['\n']);
  }

  // ---- Log ----------------------------------------------------------------

  // What JSON has no word for, and a sign for what holds itself.
  function showable() {
    const holders = [];
    let depth = 0;
    return function (key, value) {
      if (typeof value === 'bigint') return `${value}n`;
      if (typeof value === 'function') return `[Function ${textOf(value, 'name') || 'anonymous'}]`;
      if (typeof value === 'symbol') return String(value);
      if (typeof value !== 'object' || value === null) return value;
      while (depth > 0 && holders[depth - 1] !== this) depth -= 1;
      for (let at = 0; at < depth; at += 1) if (holders[at] === value) return '[Circular]';
      property(holders, depth, value, true);
      depth += 1;
      if (isError(value)) return `${textOf(value, 'name')}: ${textOf(value, 'message')}`;
      return value;
    };
  }

  function show(value) {
    try {
      if (typeof value === 'bigint') return `${value}n`;
      if (typeof value === 'function') return `[Function ${textOf(value, 'name') || 'anonymous'}]`;
      if (typeof value !== 'object' || value === null) return String(value);
      if (isError(value)) {
        const stack = host.frames(textOf(value, 'stack'));
        const head = `${textOf(value, 'name')}: ${textOf(value, 'message')}`;
        return stack === '' ? head : `${head}\n${stack}`;
      }
      const text = stringify(value, showable());
      return text === undefined ? '[object]' : wellFormed(text);
    } catch {
      return '[a value that cannot be shown]';
    }
  }

  const shown = (value) => (typeof value === 'string' ? wellFormed(value) : show(value));

  function shownAs(directive, value) {
    switch (directive) {
      case 's': return shown(value);
      case 'd': return typeof value === 'bigint' ? `${value}n` : `${toNumber(value)}`;
      case 'i': {
        if (typeof value === 'bigint') return `${value}n`;
        const number = toNumber(value);
        return `${number < 0 ? ceil(number) : floor(number)}`;
      }
      case 'f': return `${toNumber(value)}`;
      case 'j': case 'o': case 'O': return typeof value === 'string' ? stringify(value) : show(value);
      default: return undefined;
    }
  }

  function toNumber(value) {
    try {
      return Number(value);
    } catch {
      return NaN;
    }
  }

  // As on other platforms: directives in a first text take the values after it,
  // what remains follows after spaces.
  function format(values) {
    if (values.length === 0) return '';
    let text = shown(values[0]);
    let next = 1;
    if (typeof values[0] === 'string' && values.length > 1) {
      const template = text;
      text = '';
      let from = 0;
      for (;;) {
        const at = apply(indexOf, template, ['%', from]);
        if (at < 0) break;
        const directive = template[at + 1];
        const part = directive === '%' ? '%'
          : next < values.length ? shownAs(directive, values[next]) : undefined;
        text += apply(slice, template, [from, at]);
        from = at + 2;
        if (part === undefined) {
          text += apply(slice, template, [at, from]);
        } else {
          text += part;
          if (directive !== '%') next += 1;
        }
      }
      text += apply(slice, template, [from]);
    }
    for (; next < values.length; next += 1) text += ` ${shown(values[next])}`;
    return text;
  }

  const console = {};
  for (const level of ['log', 'info', 'warn', 'error', 'debug']) {
    const write = { [level](...values) { host.log(format(values)); } };
    console[level] = write[level];
  }

  // ---- Globals ------------------------------------------------------------

  const globals = { search, ai, tools: { list, call, all }, require, console, ToolError };
  for (const name in globals) define(globalThis, name, globals[name]);
  define(Math, 'random', host.random);
  // Its origin would be that of the day the engine was booted.
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
    return text;
  }

  async function start(code, input) {
    try {
      define(globalThis, 'input', parse(input));
      host.succeed(jsonOf(await host.compile(code)()));
    } catch (thrown) {
      describe(thrown, host.fail);
    }
  }

  function report(thrown) {
    describe(thrown, (name, code, message, stack) => {
      host.log(`unhandled rejection: ${name}: ${message}${stack === '' ? '' : `\n${stack}`}`);
    });
  }

  return { start, report };
})
