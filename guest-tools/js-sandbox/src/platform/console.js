// The console: turns values into lines in the log of the run.
//
// It never throws because of what it shows. It measures no time, because there is no clock.
(function (host, language) {
  const { stringify, isArray, apply, isError, wellFormed, property, append, textOf } = language;
  const { String, Number } = globalThis;
  const { keys } = Object;
  const { indexOf, slice, padEnd, replaceAll } = String.prototype;
  const { join } = Array.prototype;
  const { floor, ceil } = Math;

  // Shows what JSON has no word for, and a sign for an object that holds itself.
  function showable() {
    const holders = [];
    let depth = 0;
    return function (key, value) {
      if (typeof value === 'bigint') return `${value}n`;
      if (typeof value === 'function') return `[Function ${textOf(value, 'name') || 'anonymous'}]`;
      if (typeof value === 'symbol') return wellFormed(String(value));
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
      if (typeof value !== 'object' || value === null) return wellFormed(String(value));
      if (isError(value)) {
        const stack = host.frames(textOf(value, 'stack'));
        const head = `${textOf(value, 'name')}: ${textOf(value, 'message')}`;
        return stack === '' ? head : `${head}\n${stack}`;
      }
      const text = stringify(value, showable());
      return text === undefined ? '[object]' : host.wellFormed(text);
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
      case 'j': case 'o': case 'O': return typeof value === 'string' ? host.wellFormed(stringify(value)) : show(value);
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

  // Formats as other platforms do: directives in a first text take the values after it, and the
  // remaining values follow after spaces.
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

  // ---- Tables -------------------------------------------------------------

  const isObject = (value) => typeof value === 'object' && value !== null;

  // A row for each entry of the data, and a column for each key of a row. A value that is no object
  // goes into a column of its own.
  function tableOf(data, chosen) {
    const columns = [];
    const known = { __proto__: null };
    function columnsOf(found) {
      for (let at = 0; at < found.length; at += 1) {
        const name = `${found[at]}`;
        if (!(name in known)) append(columns, name);
        known[name] = true;
      }
    }
    const names = keys(data);
    let hasPlain = false;
    for (let at = 0; at < names.length; at += 1) {
      const row = data[names[at]];
      if (!isObject(row)) hasPlain = true;
      else if (!isArray(chosen)) columnsOf(keys(row));
    }
    if (isArray(chosen)) columnsOf(chosen);
    const head = ['(index)'];
    for (let at = 0; at < columns.length; at += 1) append(head, wellFormed(columns[at]));
    if (hasPlain) append(head, 'Values');
    const rows = [head];
    for (let at = 0; at < names.length; at += 1) {
      const row = data[names[at]];
      const cells = [wellFormed(names[at])];
      for (let of = 0; of < columns.length; of += 1) {
        append(cells, isObject(row) && columns[of] in row ? shown(row[columns[of]]) : '');
      }
      if (hasPlain) append(cells, isObject(row) ? '' : shown(row));
      append(rows, cells);
    }
    return rows;
  }

  function aligned(rows) {
    const widths = [];
    for (let at = 0; at < rows.length; at += 1) {
      for (let of = 0; of < rows[at].length; of += 1) {
        const { length } = rows[at][of];
        if (at === 0) append(widths, length);
        else if (length > widths[of]) widths[of] = length;
      }
    }
    const lines = [];
    for (let at = 0; at < rows.length; at += 1) {
      const cells = [];
      for (let of = 0; of < widths.length; of += 1) append(cells, apply(padEnd, rows[at][of], [widths[of]]));
      append(lines, `| ${apply(join, cells, [' | '])} |`);
    }
    return apply(join, lines, ['\n']);
  }

  function table(data, columns) {
    if (!isObject(data)) return shown(data);
    try {
      return aligned(tableOf(data, columns));
    } catch {
      return show(data);
    }
  }

  // ---- The console --------------------------------------------------------

  let indent = '';
  const counts = { __proto__: null };
  const labelOf = (label) => (label === undefined ? 'default' : shown(label));

  function write(text) {
    host.log(indent === '' ? text : indent + apply(replaceAll, text, ['\n', `\n${indent}`]));
  }

  function labelled(head, values) {
    write(values.length === 0 ? head : `${head}: ${format(values)}`);
  }

  function group(...values) {
    if (values.length > 0) write(format(values));
    indent += '  ';
  }

  const untimed = (label) => write(`${labelOf(label)}: no time is measured here, as there is no clock`);

  const console = {
    table(data, columns) { write(table(data, columns)); },
    dir(value) { write(shown(value)); },
    dirxml(...values) { write(format(values)); },
    trace(...values) { labelled('Trace', values); },
    assert(condition, ...values) { if (!condition) labelled('Assertion failed', values); },
    group,
    groupCollapsed(...values) { apply(group, undefined, values); },
    groupEnd() { indent = apply(slice, indent, [2]); },
    count(label) {
      const name = labelOf(label);
      counts[name] = (counts[name] ?? 0) + 1;
      write(`${name}: ${counts[name]}`);
    },
    countReset(label) { counts[labelOf(label)] = 0; },
    time() {},
    timeLog(label) { untimed(label); },
    timeEnd(label) { untimed(label); },
    timeStamp() {},
    profile() {},
    profileEnd() {},
    clear() {},
  };
  for (const level of ['log', 'info', 'warn', 'error', 'debug']) {
    const written = { [level](...values) { write(format(values)); } };
    console[level] = written[level];
  }

  return { console, show };
})
