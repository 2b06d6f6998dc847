// Events on the stream: positional msgpack tuples, compiled from the schemas. Smaller and faster
// than maps with keys, and canonical: two JSON bodies that say the same have the same bytes.
//   header = [version, type, id, tenant, acceptedAt ms, traceparent | null]
//   body   = [time | null, ...properties of `data` in schema order], objects as arrays
// An event is its header followed by its body; a stream entry holds any number of events.
// Invariant: decode(encode(event)) equals the event; a decoded body has passed its schema again.
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { Packr } from 'msgpackr';
import type { TObject, TSchema } from '@sinclair/typebox';
import type { EventDefinition } from '../../schemas/events.ts';
import { eventDefinition, eventDefinitions } from '../../schemas/index.ts';

const VERSION = 1;

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

interface DecodedBody {
  time: string | null;
  data: object;
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

/** The canonical bytes of data that has passed `definition.data`. */
export function encodeBody(
  definition: EventDefinition,
  data: object,
  time?: string | null,
): Buffer {
  const values = bodyCodecs.get(definition.type)!.toArray(data) as unknown[];
  values.unshift(time ?? null);
  return packr.pack(values);
}

/** The bytes of one event. Its data must have passed `definition.data`. */
export function encodeEvent(definition: EventDefinition, event: EncodableEvent): Buffer {
  return encodeTuple(definition.type, event, encodeBody(definition, event.data, event.time));
}

/** The bytes of an event whose canonical body is at hand. */
export function encodeTuple(
  type: string,
  { id, tenant, acceptedAt, traceparent }: Omit<EncodableEvent, 'data' | 'time'>,
  body: Uint8Array,
): Buffer {
  const header = packr.pack([VERSION, type, id, tenant, acceptedAt, traceparent ?? null]);
  return Buffer.concat([header, body]);
}

/** Decodes a body; throws when it does not fit its schema. */
export function decodeBody(definition: EventDefinition, body: Uint8Array): DecodedBody {
  return bodyOf(definition, packr.unpack(body));
}

function bodyOf(definition: EventDefinition, values: unknown): DecodedBody {
  const codec = bodyCodecs.get(definition.type)!;
  if (!Array.isArray(values)) throw new Error('a body is an array');
  const time = values.shift() as string | null;
  const data = codec.fromArray(values);
  if (!codec.check(data)) throw new Error(`body does not fit the schema of ${definition.type}`);
  return { time, data: data as object };
}

/** All events of a stream entry, in order. Never throws: what is damaged comes back as such. */
export function decodeEntry(blob: Buffer): (DecodedEvent | Undecodable)[] {
  const events: (DecodedEvent | Undecodable)[] = [];
  let header: unknown;
  try {
    packr.unpackMultiple(blob, (value: unknown, start?: number, end?: number) => {
      if (header === undefined) {
        header = value;
      } else {
        // Views of the entry's blob, which lives as long as the batch does.
        events.push(decodeOne(header, value, blob.subarray(start, end)));
        header = undefined;
      }
    });
  } catch (error) {
    return [undecodable(blob, error)];
  }
  return header === undefined ? events : [undecodable(blob, 'a header without a body')];
}

function decodeOne(header: unknown, values: unknown, body: Buffer): DecodedEvent | Undecodable {
  if (!isHeader(header)) return undecodable(body, 'not an event header');
  const [, type, id, tenant, acceptedAt, traceparent] = header;
  const definition = eventDefinition.get(type);
  if (!definition) {
    const error = `unknown event type ${type}`;
    return { tenant, id, type, acceptedAt, body, error };
  }
  try {
    const { time, data } = bodyOf(definition, values);
    return { definition, tenant, id, type, acceptedAt, traceparent, time, data, body };
  } catch (error) {
    return { tenant, id, type, acceptedAt, body, error: messageOf(error) };
  }
}

/** What the ingress writes, and what Postgres can keep: anything else was not written by us. */
const NAME = /^[\x21-\x7e]{1,1000}$/;
const TENANT_MAX = 2 ** 31 - 1;

type Header = [number, string, string, number, number, string | null];

function isHeader(value: unknown): value is Header {
  if (!Array.isArray(value) || value.length !== 6 || value[0] !== VERSION) return false;
  const [, type, id, tenant, acceptedAt, traceparent] = value as unknown[];
  return (
    typeof type === 'string' &&
    NAME.test(type) &&
    typeof id === 'string' &&
    NAME.test(id) &&
    isCount(tenant) &&
    tenant <= TENANT_MAX &&
    isCount(acceptedAt) &&
    (traceparent === null || typeof traceparent === 'string')
  );
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
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
