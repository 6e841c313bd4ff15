// Errors of the engine in words that say what to change. The engine asks for the stack of every
// error when it creates the error. The stack is returned as it would be. An error that only says
// "not a function", or that names a global of other platforms, gets more words, so that a program
// that catches it reads them too.
(function (host, language, modules) {
  const { apply, getOwnPropertyDescriptor, define, append, textOf } = language;
  const { startsWith, endsWith, slice, lastIndexOf, split } = String.prototype;
  const { join } = Array.prototype;
  const { Error: PlainError } = globalThis;
  const UNDEFINED = ' is not defined';

  const NO_PROPERTY = 'cannot read property';
  const OF_NOTHING = 'of undefined';
  const NO_MODULE = 'could not load module';

  function stackOf(sites) {
    let stack = '';
    for (let at = 0; at < sites.length; at += 1) {
      const site = sites[at];
      const name = site.getFunctionName() ?? '<anonymous>';
      const file = site.getFileName();
      const line = site.getLineNumber();
      const place = line > 0 ? `${file}:${line}:${site.getColumnNumber()}` : file;
      if (site.isNative()) stack += `    at ${name} (native)\n`;
      // The place of a syntax error is in no function.
      else if (site.getFunction() === null) stack += `    at ${place}\n`;
      else stack += `    at ${name} (${place})\n`;
    }
    return stack;
  }

  const methodOf = (expression) => apply(slice, expression, [apply(lastIndexOf, expression, ['.']) + 1]);
  const joined = (message, more) => (more === '' ? message : `${message}: ${more}`);

  // Whether an expression names a function of the platform or the language.
  function isFunction(expression) {
    let value = globalThis;
    const names = apply(split, expression, ['.']);
    for (let at = 0; at < names.length; at += 1) {
      const owner = getOwnPropertyDescriptor(value, names[at]);
      if (owner === undefined) return false;
      value = owner.value;
      const holds = typeof value === 'function' || (typeof value === 'object' && value !== null);
      if (at + 1 < names.length && !holds) return false;
    }
    return typeof value === 'function';
  }

  // The expressions that may have been called in vain. There is only one where that is certain.
  function suspects(site) {
    const called = host.calledAt(site.getFileName(), site.getLineNumber(), site.getColumnNumber());
    const left = [];
    for (let at = 0; at < called.length; at += 1) {
      if (modules.wordsFor(methodOf(called[at])) !== '') return [called[at]];
      if (!isFunction(called[at])) append(left, called[at]);
    }
    return left;
  }

  function noFunction(message, site) {
    const called = suspects(site);
    if (called.length === 0) return joined(message, host.forCall('') || modules.wordsForLast());
    const [first] = called;
    if (called.length > 1) return `${apply(join, called, [' or '])} is not a function`;
    return joined(`${first} is not a function`, modules.wordsFor(methodOf(first)) || host.forCall(first));
  }

  function better(message, name, sites) {
    if (name === 'ReferenceError') {
      if (apply(startsWith, message, [NO_MODULE])) return joined(message, host.forImport());
      if (!apply(endsWith, message, [UNDEFINED])) return message;
      return joined(message, host.forMissing(apply(slice, message, [0, -UNDEFINED.length])));
    }
    const isOfTheProgram = sites.length > 0 && !sites[0].isNative() && sites[0].getLineNumber() > 0;
    if (name !== 'TypeError' || !isOfTheProgram) return message;
    if (message === 'not a function') return noFunction(message, sites[0]);
    const isOfNothing = apply(startsWith, message, [NO_PROPERTY]) && apply(endsWith, message, [OF_NOTHING]);
    const { last } = modules;
    if (isOfNothing && last !== undefined && host.isNamedAt(sites[0].getFileName(), sites[0].getLineNumber(), last)) {
      return joined(message, modules.wordsForLast());
    }
    return message;
  }

  // The number of errors in a run that get more words. A loop that catches errors has read them by
  // then.
  let left = 100;

  PlainError.prepareStackTrace = function (error, sites) {
    const message = getOwnPropertyDescriptor(error, 'message')?.value;
    if (typeof message === 'string' && left > 0) {
      const more = better(message, textOf(error, 'name'), sites);
      if (more !== message) {
        left -= 1;
        define(error, 'message', more);
      }
    }
    return stackOf(sites);
  };
})
