// Values that JSON has no form for. JSON writes {} or null for them without a word, so the log of
// the run says what was lost. The text is looked at first, so that other data cost nothing more.
(function (host, language) {
  const { stringify, rawJSON, isError, apply, append } = language;
  const { includes } = String.prototype;
  const { toString } = Object.prototype;
  const { Infinity } = globalThis;

  // What keeps the content, by the name that the language has for the kind.
  const KEPT = {
    __proto__: null,
    '[object Map]': ['a Map', 'Object.fromEntries(map) or [...map] keeps what is in it'],
    '[object Set]': ['a Set', '[...set] keeps what is in it'],
    '[object WeakMap]': ['a WeakMap', ''],
    '[object WeakSet]': ['a WeakSet', ''],
    '[object Promise]': ['a promise', 'await it first'],
    '[object RegExp]': ['a regular expression', 'String(it) keeps it'],
    '[object ArrayBuffer]': ['an ArrayBuffer', '[...new Uint8Array(it)] keeps its bytes'],
    '[object Generator]': ['an iterator', '[...it] keeps what it gives'],
    '[object Array Iterator]': ['an iterator', '[...it] keeps what it gives'],
    '[object Map Iterator]': ['an iterator', '[...it] keeps what it gives'],
    '[object Set Iterator]': ['an iterator', '[...it] keeps what it gives'],
    '[object Iterator Helper]': ['an iterator', '[...it] keeps what it gives'],
  };

  // What a value is, what JSON makes of it, and what keeps it.
  function lossOf(value) {
    if (typeof value === 'number') {
      const isHeld = value === value && value !== Infinity && value !== -Infinity;
      return isHeld ? undefined : [`the number ${value}`, 'null', 'String(number) keeps it'];
    }
    if (typeof value !== 'object' || value === null) return undefined;
    if (isError(value)) return ['an Error', 'an object without its message', 'String(error) keeps it'];
    const kept = KEPT[apply(toString, value, [])];
    return kept && [kept[0], '{}', kept[1]];
  }

  // Logs once for each kind what JSON lost in `text`, which it made of `value`.
  return function (place, value, text) {
    if (!apply(includes, text, ['{}']) && !apply(includes, text, ['null']) && !isError(value)) return;
    const found = [];
    function look(key, part) {
      const loss = lossOf(part);
      if (loss !== undefined) append(found, loss);
      return typeof part === 'bigint' ? rawJSON('0') : part;
    }
    try {
      stringify(value, look);
    } catch {
      // The program's own functions answer differently now. What was found is told.
    }
    const told = { __proto__: null };
    for (let at = 0; at < found.length; at += 1) {
      const [what, made, kept] = found[at];
      if (told[what]) continue;
      told[what] = true;
      host.log(`${place} has ${what}, of which JSON made ${made}${kept === '' ? '' : `: ${kept}`}`);
    }
  };
})
