// Events on the stream: positional msgpack tuples, compiled from the schemas. Smaller and faster
// than maps with keys, and canonical: two JSON bodies that say the same have the same bytes.
//   tuple = [version, type, id, tenant, acceptedAt ms, traceparent | null, body]
//   body  = msgpack of [time | null, ...properties of `data` in schema order], objects as arrays
// A stream entry holds any number of tuples back to back.
// Invariant: decode(encode(event)) equals the event; a decoded body has passed its schema again.
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { Packr } from 'msgpackr';
import type { TObject, TSchema } from '@sinclair/typebox';
import type { EventDefinition } from '../../schemas/events.ts';
import { eventDefinition, eventDefinitions } from '../../schemas/index.ts';

const TUPLE_VERSION = 1;

// No records: they tie the bytes to one process's state. Integers beyond 32 bits stay exact.
const packr = new Packr({ useRecords: false, moreTypes: false, int64AsType: 'number' });

export interface EncodableEvent {
  tenant: number;
  id: string;
  /** The ingress's clock, ms since the epoch. */
  acceptedAt: number;
  traceparent?: string | null;
  time?: string | null;
  data: object;
}

export interface DecodedEvent {
  definition: EventDefinition;
  tenant: number;
  id: string;
  type: string;
  acceptedAt: number;
  traceparent: string | null;
  time: string | null;
  data: object;
  /** The canonical bytes: what is stored, fingerprinted and compared. */
  body: Buffer;
}

/** What could not be decoded: its bytes and as much of its identity as was legible. */
export interface Undecodable {
  error: string;
  tenant: number;
  id: string;
  type: string;
  acceptedAt: number;
  body: Buffer;
}

type Convert = (value: unknown) => unknown;
interface BodyCodec {
  toArray: Convert;
  fromArray: Convert;
  check: (value: unknown) => boolean;
}

const bodyCodecs = new Map<string, BodyCodec>(
  eventDefinitions.map((definition) => [definition.type, compileBody(definition.data)]),
);

export function encodeBody(
  definition: EventDefinition,
  data: object,
  time?: string | null,
): Buffer {
  const values = bodyCodecs.get(definition.type)!.toArray(data) as unknown[];
  return Buffer.from(packr.pack([time ?? null, ...values]));
}

/** The tuple of one event. The body must have passed `definition.data`. */
export function encodeEvent(definition: EventDefinition, event: EncodableEvent): Buffer {
  const body = encodeBody(definition, event.data, event.time);
  return encodeTuple(definition.type, event, body);
}

/** The tuple of an event whose canonical body is at hand. */
export function encodeTuple(
  type: string,
  event: Omit<EncodableEvent, 'data' | 'time'>,
  body: Uint8Array,
): Buffer {
  const { id, tenant, acceptedAt, traceparent } = event;
  return Buffer.from(
    packr.pack([TUPLE_VERSION, type, id, tenant, acceptedAt, traceparent ?? null, body]),
  );
}

/** Decodes a body; throws when it does not fit its schema. */
export function decodeBody(
  definition: EventDefinition,
  body: Uint8Array,
): { time: string | null; data: object } {
  const codec = bodyCodecs.get(definition.type)!;
  const [time, ...values] = packr.unpack(body) as [string | null, ...unknown[]];
  const data = codec.fromArray(values);
  if (!codec.check(data)) throw new Error(`body does not fit the schema of ${definition.type}`);
  return { time, data: data as object };
}

/** All events of a stream entry, in order. Never throws: what is damaged comes back as such. */
export function decodeEntry(blob: Buffer): (DecodedEvent | Undecodable)[] {
  let tuples: unknown[];
  try {
    tuples = packr.unpackMultiple(blob) as unknown[];
  } catch (error) {
    return [undecodable(blob, error)];
  }
  return tuples.map((tuple) => decodeTuple(tuple, blob));
}

function decodeTuple(tuple: unknown, blob: Buffer): DecodedEvent | Undecodable {
  if (!isTuple(tuple)) return undecodable(blob, 'not an event tuple');
  const [, type, id, tenant, acceptedAt, traceparent, bytes] = tuple;
  // A view would pin the whole read chunk; the copy is small and lives as long as its batch.
  const body = Buffer.from(bytes);
  const definition = eventDefinition.get(type);
  const known = { tenant, id, type, acceptedAt, body };
  if (!definition) return { ...known, error: `unknown event type ${type}` };
  try {
    return { ...known, definition, traceparent, ...decodeBody(definition, body) };
  } catch (error) {
    return { ...known, error: messageOf(error) };
  }
}

type Tuple = [number, string, string, number, number, string | null, Uint8Array];

function isTuple(value: unknown): value is Tuple {
  if (!Array.isArray(value) || value.length !== 7 || value[0] !== TUPLE_VERSION) return false;
  const [, type, id, tenant, acceptedAt, traceparent, body] = value as unknown[];
  return (
    typeof type === 'string' &&
    typeof id === 'string' &&
    Number.isSafeInteger(tenant) &&
    Number.isSafeInteger(acceptedAt) &&
    (traceparent === null || typeof traceparent === 'string') &&
    body instanceof Uint8Array
  );
}

function undecodable(blob: Buffer, error: unknown): Undecodable {
  return {
    error: messageOf(error),
    tenant: 0,
    id: '',
    type: '',
    acceptedAt: 0,
    body: Buffer.from(blob),
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function compileBody(schema: TObject): BodyCodec {
  const checker = TypeCompiler.Compile(schema);
  return { ...compileConversion(schema), check: (value) => checker.Check(value) };
}

/** Objects become arrays in property order; everything else travels as it is. */
function compileConversion(schema: TSchema): { toArray: Convert; fromArray: Convert } {
  if (schema['type'] === 'array' && schema['items']) {
    const item = compileConversion(schema['items'] as TSchema);
    return {
      toArray: (value) => (value as unknown[]).map(item.toArray),
      fromArray: (value) => (Array.isArray(value) ? value.map(item.fromArray) : value),
    };
  }
  if (schema['type'] !== 'object') return { toArray: same, fromArray: same };
  if (schema['patternProperties']) return { toArray: sortedPairs, fromArray: fromPairs };
  return compileObject(schema as TObject);
}

function compileObject(schema: TObject): { toArray: Convert; fromArray: Convert } {
  const names = Object.keys(schema.properties);
  const parts = names.map((name) => compileConversion(schema.properties[name]!));
  const toArray: Convert = (value) => {
    const source = value as Record<string, unknown>;
    const values: unknown[] = [];
    for (let index = 0; index < names.length; index++) {
      const property = source[names[index]!];
      values.push(property === undefined ? null : parts[index]!.toArray(property));
    }
    // Trailing absences are not written, so a property appended later leaves old bytes as they are.
    while (values.length > 0 && values.at(-1) === null) values.pop();
    return values;
  };
  const fromArray: Convert = (value) => {
    if (!Array.isArray(value) || value.length > names.length) return value;
    const result: Record<string, unknown> = {};
    for (let index = 0; index < value.length; index++) {
      const property: unknown = value[index];
      if (property !== null) result[names[index]!] = parts[index]!.fromArray(property);
    }
    return result;
  };
  return { toArray, fromArray };
}

function same(value: unknown): unknown {
  return value;
}

/** Records have no property order, so their keys are sorted: equal records have equal bytes. */
function sortedPairs(value: unknown): unknown {
  return Object.entries(value as object).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

function fromPairs(value: unknown): unknown {
  return Array.isArray(value) ? Object.fromEntries(value as [string, unknown][]) : value;
}
