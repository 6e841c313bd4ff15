// Methods that elsewhere follow a locale or a time zone. The engine has no data of either. The
// methods work as the language defines them without such data, and the log of the run says so once
// for each method.
(function (host, language) {
  const { apply, define } = language;
  const told = { __proto__: null };

  const DATES = 'gives the time in UTC, in a fixed form: locales, time zones and other options are ignored, as there is no data of them here';
  const NUMBERS = 'gives the digits alone: locales, currencies, grouping and other options are ignored, as there is no data of them here';
  const ORDER = 'compares by Unicode code points: locales and options are ignored, as there is no data of them here';
  const LETTERS = 'follows no locale, as there is no data of them here';

  // `from` is the position of the argument that is a locale. Such a method is reported only if a
  // locale is given.
  function tell(prototype, owner, name, words, from) {
    const original = prototype[name];
    const telling = {
      [name](...values) {
        const label = `${owner}.prototype.${name}`;
        if (!told[label] && (from === undefined || values[from] !== undefined)) {
          told[label] = true;
          host.log(`${label} ${words}`);
        }
        return apply(original, this, values);
      },
    };
    define(telling[name], 'length', original.length);
    define(prototype, name, telling[name]);
  }

  for (const name of ['toLocaleString', 'toLocaleDateString', 'toLocaleTimeString']) {
    tell(Date.prototype, 'Date', name, DATES);
  }
  tell(Number.prototype, 'Number', 'toLocaleString', NUMBERS);
  tell(BigInt.prototype, 'BigInt', 'toLocaleString', NUMBERS);
  tell(String.prototype, 'String', 'localeCompare', ORDER);
  tell(String.prototype, 'String', 'toLocaleUpperCase', LETTERS, 0);
  tell(String.prototype, 'String', 'toLocaleLowerCase', LETTERS, 0);
})
