// The codec, per event: encoding against packing the same object with bare msgpackr and against
// JSON, decoding (with the check of the shape that it includes) against unpacking and parsing.
import { Packr } from 'msgpackr';
import { decodeEntry, encodeEvent } from '../src/stream/codec.ts';
import { measureLoop } from './lib/loop.ts';
import type { BenchOptions, Comparison, Measurement } from './lib/rounds.ts';
import { samples } from './lib/samples.ts';

const EVENTS = 1_000;
/** As full as the entries of a busy stream. */
const ENTRY_EVENTS = 100;

/** Turns events into blobs and blobs into events; each gives back what it made. */
interface Format {
  encode(event: object): Uint8Array | string;
  decode(encoded: Uint8Array | string): unknown;
}

const packr = new Packr({ useRecords: false, moreTypes: false, int64AsType: 'number' });
const limits: Record<string, Format> = {
  msgpackr: {
    encode: (event) => packr.pack(event),
    decode: (encoded) => packr.unpack(encoded as Uint8Array),
  },
  json: {
    encode: (event) => Buffer.from(JSON.stringify(event)),
    decode: (encoded) => JSON.parse((encoded as Buffer).toString()) as unknown,
  },
};

const events = samples.earning(EVENTS).map(({ definition, id, data }) => ({
  definition,
  plain: { type: definition.type, id, tenant: 1, acceptedAt: 1_769_860_800_000, data },
}));

export function codecBench({ seconds }: BenchOptions): Comparison[] {
  return Object.entries(limits).flatMap(([name, format]) => [
    {
      name: `codec-encode-${name}`,
      target: `limit: ${name}, packing the same object`,
      unit: 'events/s',
      subject: () => measureEncoding(seconds, encodeOurs),
      limit: () => measureEncoding(seconds, ({ plain }) => format.encode(plain)),
    },
    {
      name: `codec-decode-${name}`,
      target: `limit: ${name}, without a check of the shape`,
      unit: 'events/s',
      subject: () => measureOurDecoding(seconds),
      limit: () => measureDecoding(seconds, format),
    },
  ]);
}

function encodeOurs({ definition, plain }: (typeof events)[number]): Uint8Array {
  return encodeEvent(definition, plain);
}

async function measureEncoding(
  seconds: number,
  encode: (event: (typeof events)[number]) => Uint8Array | string,
): Promise<Measurement> {
  const bytes = events.reduce((sum, event) => sum + encode(event).length, 0);
  const measured = await measureLoop({
    seconds,
    timed: '1,000 events',
    prepare: () => bytes,
    run(expected) {
      let length = 0;
      for (const event of events) length += encode(event).length;
      return length === expected ? events.length : 0;
    },
  });
  return { ...measured, bytesEach: bytes / events.length };
}

function measureOurDecoding(seconds: number): Promise<Measurement> {
  const encoded = events.map(encodeOurs);
  const entries: Buffer[] = [];
  for (let from = 0; from < encoded.length; from += ENTRY_EVENTS)
    entries.push(Buffer.concat(encoded.slice(from, from + ENTRY_EVENTS)));
  return measureLoop({
    seconds,
    timed: '1,000 events',
    prepare: () => entries,
    run(blobs) {
      let whole = 0;
      for (const blob of blobs) for (const event of decodeEntry(blob)) if ('data' in event) whole++;
      if (whole !== events.length) throw new Error(`${whole} of ${events.length} were decoded`);
      return whole;
    },
  });
}

function measureDecoding(seconds: number, { encode, decode }: Format): Promise<Measurement> {
  const encoded = events.map(({ plain }) => encode(plain));
  return measureLoop({
    seconds,
    timed: '1,000 events',
    prepare: () => encoded,
    run(blobs) {
      let whole = 0;
      for (const blob of blobs) if (decode(blob)) whole++;
      return whole;
    },
  });
}
