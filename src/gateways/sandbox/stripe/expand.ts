// `expand[]`: objects in the place of their ids, along a path such as
// `latest_charge.balance_transaction`; in lists the path starts with `data`.
// Invariant: what is not there to be expanded is left as it is, as long as the name is one.
import type { Kind } from '../objects.ts';
import type { SandboxStore } from '../store.ts';
import { invalid } from './errors.ts';
import { type Shape, shapeOf } from './shapes.ts';

const kinds: readonly (readonly [string, Kind])[] = [
  ['pi_', 'intent'],
  ['ch_', 'charge'],
  ['re_', 'refund'],
  ['dp_', 'dispute'],
  ['txn_', 'line'],
  ['po_', 'payout'],
];
const DEPTH_MAX = 4;

export function expanded(shape: Shape, paths: readonly string[], store: SandboxStore): Shape {
  for (const path of paths) {
    const parts = path.split('.');
    if (parts.length > DEPTH_MAX)
      throw invalid('You cannot expand more than 4 levels of a property.', { param: 'expand' });
    expandAt(shape, parts, path, store);
  }
  return shape;
}

function expandAt(
  at: Shape,
  [name, ...rest]: readonly string[],
  path: string,
  store: SandboxStore,
): void {
  if (name === undefined) return;
  if (!Object.hasOwn(at, name))
    throw invalid(`This property cannot be expanded (${path}).`, { param: 'expand' });
  const value = at[name];
  if (typeof value === 'string') at[name] = objectOf(value, store) ?? value;
  const inner = at[name];
  for (const each of Array.isArray(inner) ? inner : [inner])
    if (typeof each === 'object' && each !== null) expandAt(each as Shape, rest, path, store);
}

function objectOf(id: string, store: SandboxStore): Shape | null {
  const kind = kinds.find(([prefix]) => id.startsWith(prefix))?.[1];
  const object = kind ? store.get(kind, id) : null;
  return object ? shapeOf(object, store) : null;
}
