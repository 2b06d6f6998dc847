// Stripe's form encoding: `a[b][c]=1`, `expand[]=x`, `items[0][price]=y`, in bodies and queries.
// Invariant: names build plain data only; nothing of a name reaches a prototype.

export type Form = { [name: string]: FormValue };
export type FormValue = string | FormValue[] | Form;

export class WrongForm extends Error {}

const DEPTH_MAX = 8;

export function parseForm(pairs: URLSearchParams): Form {
  const form: Form = Object.create(null) as Form;
  for (const [name, value] of pairs) place(form, pathOf(name), value);
  return listed(form) as Form;
}

function pathOf(name: string): string[] {
  const found = /^([^[\]]+)((?:\[[^[\]]*\])*)$/.exec(name);
  if (!found) throw new WrongForm(name);
  const rest = [...found[2]!.matchAll(/\[([^[\]]*)\]/g)].map(([, part]) => part!);
  if (rest.length > DEPTH_MAX) throw new WrongForm(name);
  return [found[1]!, ...rest];
}

function place(form: Form, path: readonly string[], value: string): void {
  let at = form;
  for (const [index, part] of path.entries()) {
    // `[]` appends: the next free number.
    const name = part === '' ? String(Object.keys(at).length) : part;
    if (index === path.length - 1) {
      at[name] = value;
      return;
    }
    const inner = at[name];
    if (typeof inner === 'string') throw new WrongForm(path.join('.'));
    at = (inner as Form | undefined) ?? (at[name] = Object.create(null) as Form);
  }
}

/** Objects whose names are 0, 1, 2, … are lists. */
function listed(value: FormValue): FormValue {
  if (typeof value === 'string' || Array.isArray(value)) return value;
  const names = Object.keys(value);
  for (const name of names) value[name] = listed(value[name]!);
  const isList = names.length > 0 && names.every((name, index) => name === String(index));
  return isList ? names.map((name) => value[name]!) : value;
}

export function text(form: Form, name: string): string | null {
  const value = form[name];
  return typeof value === 'string' && value !== '' ? value : null;
}

export function labels(form: Form, name: string): Record<string, string> {
  const value = form[name];
  if (typeof value !== 'object' || Array.isArray(value)) return {};
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, each]) => (typeof each === 'string' ? [[key, each]] : [])),
  );
}

export function texts(form: Form, name: string): string[] {
  const value = form[name];
  if (typeof value === 'string') return [value];
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
}
