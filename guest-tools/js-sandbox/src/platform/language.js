// What the platform's scripts need of the language, kept before any program can change it.
(function () {
  const { parse, stringify, rawJSON } = JSON;
  const { isArray } = Array;
  const { apply, defineProperty, getOwnPropertyDescriptor } = Reflect;
  const { isError } = Error;
  const { toWellFormed } = String.prototype;

  const wellFormed = (text) => apply(toWellFormed, text, []);
  const property = (object, name, value, enumerable) =>
    defineProperty(object, name, { __proto__: null, value, writable: true, configurable: true, enumerable });
  const define = (object, name, value) => property(object, name, value, false);
  const append = (array, value) => property(array, array.length, value, true);

  // Reads a property of an object from a program, which may answer with anything.
  function textOf(object, name) {
    try {
      const value = object[name];
      return typeof value === 'string' ? wellFormed(value) : '';
    } catch {
      return '';
    }
  }

  return {
    parse, stringify, rawJSON, isArray, apply, getOwnPropertyDescriptor, defineProperty, isError,
    wellFormed, property, define, append, textOf,
  };
})
