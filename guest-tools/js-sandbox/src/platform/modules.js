// MCP servers, HTTP APIs and other tools as modules. require() returns an object with a method for
// each tool that the MCP server listed when it was first required, whatever the tools are called, or
// for each operation of the API or tool. The language itself reads some methods of objects (`then`
// for await, `toJSON`, `toString`). Reading those calls no tool.
(function (host, language, { call, nameOf, inputOf }) {
  const { apply, wellFormed, property, define, append } = language;
  const { Error: PlainError, Proxy, Symbol } = globalThis;
  const { startsWith, slice } = String.prototype;
  const { join } = Array.prototype;

  // The prefixes before a server's and an API's name in the host. A name without one comes last.
  const SERVER = 'mcp:';
  const PREFIXES = [SERVER, 'http:', ''];
  const modules = { __proto__: null };
  // The words for each method that a program read from an object of the platform and that does not
  // exist.
  const missed = { __proto__: null };
  let last;

  function require(name) {
    const module = nameOf(name, 'module');
    if (module in modules) return modules[module];
    const rows = host.list();
    const known = [];
    for (let kind = 0; kind < PREFIXES.length; kind += 1) {
      const prefix = PREFIXES[kind];
      const tool = `${prefix}${module}`;
      const operations = [];
      for (let at = 0; at < rows.length; at += 1) {
        const row = rows[at];
        if (kindOf(row[0]) !== kind) continue;
        const isFirst = at === 0 || rows[at - 1][0] !== row[0];
        if (isFirst) append(known, apply(slice, row[0], [prefix.length]));
        if (row[0] === tool && row.length > 1) append(operations, row[1]);
      }
      if (operations.length > 0) {
        modules[module] = prefix === SERVER ? server(module, tool) : ofOperations(module, tool, operations);
        return modules[module];
      }
    }
    throw new PlainError(
      `there is no module "${module}"${host.proposed(module, known)}: the modules of this run are: ${host.listed(known)}`,
    );
  }

  function kindOf(tool) {
    for (let kind = 0; kind < PREFIXES.length; kind += 1) if (apply(startsWith, tool, [PREFIXES[kind]])) return kind;
    return PREFIXES.length;
  }

  function server(module, tool) {
    const { tools: listed, notes = [] } = call(tool, 'list_tools');
    for (let at = 0; at < notes.length; at += 1) host.log(wellFormed(notes[at]));
    const methods = { __proto__: null };
    const names = [];
    for (let at = 0; at < listed.length; at += 1) {
      const method = wellFormed(listed[at].name);
      const asks = {
        [method](input = {}) {
          return valueOf(call(tool, 'call_tool', { name: method, arguments: checked(input) }));
        },
      };
      property(methods, method, asks[method], true);
      append(names, method);
    }
    return moduleOf(module, methods, names, `the MCP server "${module}"`, 'tool');
  }

  function ofOperations(module, tool, operations) {
    const methods = { __proto__: null };
    for (let at = 0; at < operations.length; at += 1) {
      const method = operations[at];
      const asks = {
        [method](input = {}) {
          return call(tool, method, checked(input));
        },
      };
      property(methods, method, asks[method], true);
    }
    return moduleOf(module, methods, operations, `the tool "${module}"`, 'operation');
  }

  function moduleOf(name, methods, names, owner, what) {
    define(methods, Symbol.toPrimitive, () => `[module ${name}]`);

    let isSettling = false;
    const module = watched(methods, (name) => {
      // The code that settles a promise with the module reads `then` once, to learn whether the
      // module is a promise.
      if (name !== 'then' || !isSettling) return methods[name];
      isSettling = false;
      return undefined;
    }, (missing) => host.unknown(owner, what, missing, names));
    reserve(methods, 'then', (input) => typeof input === 'function', (settle) => {
      isSettling = true;
      try {
        return settle(module);
      } finally {
        isSettling = false;
      }
    });
    // JSON.stringify passes the name of the key that holds the module.
    reserve(methods, 'toJSON', (input) => typeof input === 'string', () => {
      const others = { __proto__: null };
      for (let at = 0; at < names.length; at += 1) {
        if (names[at] !== 'toJSON') property(others, names[at], methods[names[at]], true);
      }
      return others;
    });
    return module;
  }

  // An object that remembers which missing properties were read. It answers those with undefined,
  // as any object does.
  function watched(target, valueOf, words) {
    return new Proxy(target, {
      __proto__: null,
      get(_, name) {
        if (name in target) return valueOf(name);
        if (typeof name === 'string') {
          missed[name] = words;
          last = name;
        }
        return undefined;
      },
    });
  }

  // Keeps a tool of this name, but answers the language where the language is what asks.
  function reserve(methods, name, isLanguage, answer) {
    if (!(name in methods)) return;
    const ask = methods[name];
    const both = {
      [name](...inputs) {
        return isLanguage(inputs[0]) ? answer(inputs[0]) : apply(ask, undefined, inputs);
      },
    };
    property(methods, name, both[name], true);
  }

  function checked(input) {
    inputOf(input);
    return input;
  }

  // The value of a tool's result: its structured content if there is some, its text if everything
  // is text, and otherwise its content unchanged.
  function valueOf({ content, structuredContent }) {
    if (structuredContent !== undefined) return structuredContent;
    const texts = [];
    for (let at = 0; at < content.length; at += 1) {
      if (content[at].type !== 'text') return content;
      append(texts, content[at].text);
    }
    return apply(join, texts, ['\n']);
  }

  // The words for a call of a method that does not exist.
  const wordsFor = (name) => (name in missed ? missed[name](wellFormed(name)) : '');

  return {
    require,
    watched,
    wordsFor,
    // The words for the last such method, where the called expression is unknown.
    wordsForLast: () => (last === undefined ? '' : wordsFor(last)),
    get last() { return last; },
  };
})
