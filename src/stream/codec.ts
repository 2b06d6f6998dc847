// Events on the stream: positional msgpack tuples, compiled from the schemas. Smaller and faster
// than maps with keys, and canonical: two JSON bodies that say the same have the same bytes.
//   header = [version, type, id, tenant, acceptedAt ms, traceparent | null]
//   body   = [time | null, ...properties of `data` in schema order], objects as arrays
// An event is its header followed by its body; a stream entry holds any number of events.
// Invariant: decode(encode(event)) equals the event; a decoded body has passed its schema again.
import { TypeCompiler } from '@sinclair/typebox/compiler';
import type { TObject, TSchema } from '@sinclair/typebox';
import type { EventDefinition } from '../../schemas/events.ts';
import { eventDefinition, eventDefinitions } from '../../schemas/index.ts';
import { PackWriter, packr } from './pack.ts';

const VERSION = 1;

export interface EventHeader {
  tenant: number;
  id: string;
  /** The ingress's clock, ms since the epoch. */
  acceptedAt: number;
  traceparent?: string | null;
}

export interface EncodableEvent extends EventHeader {
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
type Write = (writer: PackWriter, value: unknown) => void;
interface Conversion {
  write: Write;
  fromArray: Convert;
}
interface BodyCodec {
  write(writer: PackWriter, data: object, time: string | null): void;
  fromArray: Convert;
  check: (value: unknown) => boolean;
}

const bodyCodecs = new Map<string, BodyCodec>(
  eventDefinitions.map((definition) => [definition.type, compileBody(definition.data)]),
);

const scratch = new PackWriter();

/** The canonical bytes of data that has passed `definition.data`. */
export function encodeBody(
  definition: EventDefinition,
  data: object,
  time?: string | null,
): Buffer {
  scratch.rewind(0);
  writeBody(scratch, definition, data, time);
  return Buffer.from(scratch.from(0));
}

/** The bytes of one event. Its data must have passed `definition.data`. */
export function encodeEvent(definition: EventDefinition, event: EncodableEvent): Buffer {
  scratch.rewind(0);
  writeHeader(scratch, definition.type, event);
  writeBody(scratch, definition, event.data, event.time);
  return Buffer.from(scratch.from(0));
}

/** An event is its header and then its body. */
export function writeHeader(writer: PackWriter, type: string, header: EventHeader): void {
  writer.array(6);
  writer.value(VERSION);
  writer.value(type);
  writer.value(header.id);
  writer.value(header.tenant);
  writer.value(header.acceptedAt);
  writer.value(header.traceparent);
}

export function writeBody(
  writer: PackWriter,
  definition: EventDefinition,
  data: object,
  time?: string | null,
): void {
  bodyCodecs.get(definition.type)!.write(writer, data, time ?? null);
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
  const { writeAfter, fromArray } = compileObject(schema);
  return {
    write: (writer, data, time) => writeAfter(writer, data, [time]),
    fromArray,
    check: (value) => checker.Check(value),
  };
}

/** Objects become arrays in property order; everything else travels as it is. */
function compileConversion(schema: TSchema): Conversion {
  if (schema['type'] === 'array' && schema['items']) {
    const item = compileConversion(schema['items'] as TSchema);
    return {
      write(writer, value) {
        const values = value as unknown[];
        writer.array(values.length);
        for (let index = 0; index < values.length; index++) item.write(writer, values[index]);
      },
      fromArray: (value) => (Array.isArray(value) ? value.map(item.fromArray) : value),
    };
  }
  if (schema['type'] !== 'object') return { write: asItIs, fromArray: same };
  if (schema['patternProperties']) return { write: sortedPairs, fromArray: fromPairs };
  const { writeAfter, fromArray } = compileObject(schema as TObject);
  return { write: (writer, value) => writeAfter(writer, value, none), fromArray };
}

const none: readonly unknown[] = [];

/** `first`: values that stand before those of the object, in the same array. */
function compileObject(schema: TObject) {
  const names = Object.keys(schema.properties);
  const parts = names.map((name) => compileConversion(schema.properties[name]!));
  const writeAfter = (writer: PackWriter, value: unknown, first: readonly unknown[]): void => {
    const source = value as Record<string, unknown>;
    // Trailing absences are not written, so a property appended later leaves old bytes as they are.
    let count = names.length;
    while (count > 0 && isAbsent(source[names[count - 1]!])) count--;
    writer.array(first.length + count);
    for (const each of first) writer.value(each);
    for (let index = 0; index < count; index++) {
      const property = source[names[index]!];
      if (property === undefined) writer.value(null);
      else parts[index]!.write(writer, property);
    }
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
  return { writeAfter, fromArray };
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null;
}

function same(value: unknown): unknown {
  return value;
}

function asItIs(writer: PackWriter, value: unknown): void {
  writer.value(value);
}

/** Records have no property order, so their keys are sorted: equal records have equal bytes. */
function sortedPairs(writer: PackWriter, value: unknown): void {
  const pairs = Object.entries(value as object);
  writer.value(pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}

function fromPairs(value: unknown): unknown {
  return Array.isArray(value) ? Object.fromEntries(value as [string, unknown][]) : value;
}
