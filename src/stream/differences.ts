// What differs between two events that were sent under one id, as JSON pointers: enough to find the
// mistake, and no value of either.
import { eventDefinition } from '../../schemas/index.ts';
import { decodeBody } from './codec.ts';

export interface EncodedEvent {
  type: string;
  body: Uint8Array;
}

/** Empty for equal events; `/type` alone when the types differ. */
export function differingFields(first: EncodedEvent, second: EncodedEvent): string[] {
  if (first.type !== second.type) return ['/type'];
  const definition = eventDefinition.get(first.type);
  if (!definition) return ['/data'];
  const before = decodeBody(definition, first.body);
  const after = decodeBody(definition, second.body);
  const fields = differences(before.data, after.data, '/data');
  return before.time === after.time ? fields : ['/time', ...fields];
}

function differences(before: unknown, after: unknown, pointer: string): string[] {
  if (Bun.deepEquals(before, after)) return [];
  if (!isObject(before) || !isObject(after)) return [pointer];
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].flatMap((name) =>
    differences(before[name], after[name], `${pointer}/${escaped(name)}`),
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** RFC 6901: `~` and `/` have a meaning in pointers. */
function escaped(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}
