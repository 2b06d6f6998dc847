// The document is true: each example of each route is sent, in order, on a fresh tenant, and both
// the status and the shape of the answer must be those that the document names.
import { describe, expect, test } from 'bun:test';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import type { TSchema } from '@sinclair/typebox';
import { ProblemDocument as problemSchema } from '../../src/http/openapi.ts';
import { openDoor } from './door.ts';

interface Operation {
  operationId: string;
  summary: string;
  description: string;
  parameters: { name: string; in: string; required: boolean; schema: object }[];
  responses: Record<string, { description: string; content?: Record<string, { schema?: object }> }>;
}
interface ApiDocument {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  webhooks: Record<string, { post: Operation }>;
  components: { schemas: { Problem: TSchema } };
}

const door = await openDoor('openapi', { ledger: true });
const reply = await door.call('GET', '/openapi.json', { key: null });
const document = reply.body as unknown as ApiDocument;
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
);

test('it is an OpenAPI 3.1 document in which every operation has a name of its own', () => {
  expect(document.openapi).toBe('3.1.0');
  const names = operations.map(({ operation }) => operation.operationId);
  expect(new Set(names).size).toBe(names.length);
  for (const { path, operation } of operations) {
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((found) => found[1]!);
    const named = operation.parameters.filter((each) => each.in === 'path');
    expect(named.map(({ name }) => name)).toEqual(inPath);
    expect(operation.summary).not.toBe('');
  }
});

test('what is sent to tenants is in it too, each type under its name', () => {
  const sent = Object.entries(document.webhooks);
  expect(sent.length).toBeGreaterThan(10);
  for (const [type, { post }] of sent) {
    expect(post.operationId).toBe(type);
    expect(post.summary).not.toBe('');
    expect(JSON.stringify(post)).toContain(`"const":"${type}"`);
  }
});

test('nothing in it points outside', () => {
  const references = [...reply.text.matchAll(/"\$ref":"([^"]+)"/g)].map((found) => found[1]!);
  expect(new Set(references)).toEqual(new Set(['#/components/schemas/Problem']));
});

describe('each example is answered as the document says', () => {
  for (const route of door.routes)
    for (const example of route.examples)
      test(`${route.name}: ${example.name}`, async () => {
        const path = route.path.replace(/\{(\w+)\}/g, (_, name: string) =>
          encodeURIComponent(String((example.params as Record<string, unknown>)[name])),
        );
        const query = new URLSearchParams(example.query as Record<string, string>).toString();
        const answer = await door.call(route.method, path + (query && `?${query}`), {
          ...(example.body !== undefined && { body: example.body }),
          headers: {
            ...(route.idempotent && { 'Idempotency-Key': crypto.randomUUID() }),
            ...example.headers,
          },
        });
        expect([answer.text, answer.status]).toEqual([answer.text, example.status]);
        const { operation } = operations.find((each) => each.operation.operationId === route.name)!;
        const documented = operation.responses[answer.status];
        expect(documented).toBeDefined();
        const type = answer.headers.get('content-type')?.split(';')[0];
        if (!type) return;
        expect(Object.keys(documented!.content ?? {})).toContain(
          route.name === 'docsAsset' ? 'text/javascript' : type,
        );
        if (!type.includes('json')) return;
        const schema = answer.status < 400 ? route.answers[answer.status]!.schema! : problemSchema;
        expect([...TypeCompiler.Compile(schema).Errors(answer.body)]).toEqual([]);
      });
});
