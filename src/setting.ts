// Kinds of settings: how a value is read from its text, and what is said of one that is wrong.
// Invariant: a parse gives a valid value or throws Wrong; the text itself stays unsaid.

export interface Setting<T> {
  name: string;
  about: string;
  /** As it would be written in the environment; empty when unset. */
  standard: string;
  parse(text: string): T;
}

export class Wrong extends Error {}

export function integer(
  name: string,
  standard: number,
  about: string,
  [min, max]: readonly [number, number],
): Setting<number> {
  return {
    name,
    about,
    standard: String(standard),
    parse(text) {
      const value = Number(text);
      if (/^\d+$/.test(text) && value >= min && value <= max) return value;
      throw new Wrong(`must be a whole number from ${min} to ${max}`);
    },
  };
}

export function choice<T extends string>(
  name: string,
  standard: T,
  about: string,
  choices: readonly T[],
): Setting<T> {
  return {
    name,
    standard,
    about: `${about}: ${choices.join(', ')}`,
    parse(text) {
      const found = choices.find((each) => each === text);
      if (found) return found;
      throw new Wrong(`must be one of ${choices.join(', ')}`);
    },
  };
}

export function text(
  name: string,
  standard: string,
  about: string,
  form: RegExp,
  says: string,
): Setting<string> {
  return {
    name,
    standard,
    about,
    parse(value) {
      if (form.test(value)) return value;
      throw new Wrong(`must be ${says}`);
    },
  };
}

/** Unset is null: something of our own is then used instead. */
export function optional(setting: Setting<string>): Setting<string | null> {
  return { ...setting, parse: (value) => (value === '' ? null : setting.parse(value)) };
}

/** Where a server is: no path, no slash at its end. */
export function origin(name: string, standard: string, about: string): Setting<string> {
  return text(name, standard, about, /^https?:\/\/[^\s/]+$/, 'a URL without a path');
}

export function sealingKey(name: string, about: string): Setting<string | null> {
  return optional(text(name, '', about, /^[A-Za-z0-9+/_-]{43}=?$/, '32 bytes in base64'));
}
