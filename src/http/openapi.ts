// /openapi.json from the routes themselves. TypeBox schemas are JSON Schema 2020-12, which is what
// OpenAPI 3.1 takes, so they are printed as they are checked.
// Invariant: every route is in the document, with every status that its guard can give.
import { Type, type TObject } from '@sinclair/typebox';
import { noticeBody, noticeTypeNames, noticeTypes } from '../../schemas/notices.ts';
import { closed } from '../../schemas/primitives.ts';
import { REPLAY_S } from './idempotency.ts';
import { catalogue } from './problem.ts';
import type { Route, RouteExample } from './route.ts';

export const ProblemDocument = closed(
  {
    type: Type.String({ description: 'Where the code is explained.' }),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String({ enum: Object.keys(catalogue) }),
    detail: Type.String(),
    request_id: Type.Optional(Type.String()),
    errors: Type.Optional(
      Type.Array(closed({ pointer: Type.String(), detail: Type.String() }), {
        description: 'JSON pointers into the body, or into /params and /query.',
      }),
    ),
  },
  { description: 'RFC 9457.' },
);

const problemNames: Readonly<Record<number, string>> = {
  400: 'Malformed JSON, header or query',
  401: 'Unknown or missing key',
  403: 'The key lacks the scope',
  404: 'Not found',
  408: 'The body did not arrive in time',
  409: 'Refused; `code` is the reason',
  413: 'The body is too large',
  415: 'The content type is not accepted',
  422: 'The request has the wrong shape; see `errors`',
  429: 'A limit is used up; see Retry-After',
  503: 'Overloaded, or a store is away; see Retry-After',
};

export function openApiDocument(routes: readonly Route[], version: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes)
    (paths[route.path] ??= {})[route.method.toLowerCase()] = operation(route);
  return {
    openapi: '3.1.0',
    info: {
      title: 'Tallyrace',
      version,
      description: 'Coupon checks and money-like events, onto streams and into a ledger.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{ key: [] }],
    tags: [...new Set(routes.map((route) => route.tag))].map((name) => ({ name })),
    paths,
    webhooks: webhooks(),
    components: {
      securitySchemes: {
        key: { type: 'http', scheme: 'bearer', description: 'tr_live_…, tr_test_… or tr_pub_…' },
      },
      schemas: { Problem: ProblemDocument },
    },
  };
}

/** What we send, as a receiver sees it. */
function webhooks(): object {
  const parameters = [
    header('webhook-id', true, {
      type: 'string',
      description: 'Of the notice: the same each time it is sent, so that it can count once.',
    }),
    header('webhook-timestamp', true, { type: 'string', description: 'Seconds, of this try.' }),
    header('webhook-signature', true, {
      type: 'string',
      description:
        '`v1,` and HMAC-SHA256 in base64 of id, timestamp and body; one for each secret.',
    }),
  ];
  const responses = {
    '2XX': { description: 'Taken, within 15 seconds.' },
    '410': { description: 'Gone: the endpoint is disabled.' },
    default: { description: 'Not taken: it is sent again, for three days.' },
  };
  const told = noticeTypeNames.map((type) => {
    const content = { 'application/json': { schema: noticeBody(type) } };
    const post = {
      ...{ operationId: type, tags: ['webhooks'], summary: noticeTypes[type][1], security: [] },
      ...{ parameters, requestBody: { required: true, content }, responses },
    };
    return [type, { post }] as const;
  });
  return Object.fromEntries(told);
}

function operation(route: Route): object {
  return {
    operationId: route.name,
    tags: [route.tag],
    summary: route.summary,
    description: [route.description, scopeText(route)].filter(Boolean).join('\n\n'),
    ...(route.scope === null && { security: [] }),
    parameters: parameters(route),
    ...(route.body && { requestBody: requestBody(route) }),
    responses: responses(route),
  };
}

function scopeText({ scope }: Route): string {
  return scope === null ? '' : `Scope: \`${[scope].flat().join('` or `')}\`.`;
}

function parameters(route: Route): object[] {
  const found = [
    ...fields(route.params).map(([name, schema]) => ({ name, in: 'path', required: true, schema })),
    ...fields(route.query).map(([name, schema]) => ({
      name,
      in: 'query',
      required: route.query!.required?.includes(name) ?? false,
      schema,
    })),
  ];
  if (route.idempotent)
    found.push(
      header('Idempotency-Key', true, {
        type: 'string',
        minLength: 1,
        maxLength: 128,
        pattern: '^[\\x21-\\x7e]+$',
        description: `The first answer is given again for ${REPLAY_S / 3600} hours.`,
      }),
    );
  if (route.accepts)
    found.push(
      header('Prefer', false, {
        type: 'string',
        examples: ['wait=ledger; timeout=2000'],
        description: '`wait=ledger`: answer after the commit, or 202 after `timeout` ms.',
      }),
    );
  return found;
}

function header(name: string, required: boolean, schema: object) {
  return { name, in: 'header', required, schema: schema as never };
}

function fields(schema: TObject | undefined) {
  return Object.entries(schema?.properties ?? {});
}

function requestBody(route: Route): object {
  const bodies = route.bodies ?? { 'application/json': route.body! };
  const examples = named(route.examples.filter((example) => example.body !== undefined));
  const content = Object.entries(bodies).map(([type, schema]) => [
    type,
    // They are in our own form.
    { schema, ...(type === 'application/json' && { examples }) },
  ]);
  return { required: true, content: Object.fromEntries(content) as object };
}

function named(examples: readonly RouteExample[]): object {
  return Object.fromEntries(examples.map(({ name, body }) => [name, { value: body }]));
}

function responses(route: Route): object {
  const all: Record<string, object> = {};
  for (const [status, { description, schema, contentType }] of Object.entries(route.answers)) {
    const type = contentType ?? (schema ? 'application/json' : undefined);
    const content = type && { content: { [type]: schema ? { schema } : {} } };
    all[status] = { description, ...content };
  }
  for (const status of problemStatuses(route)) all[status] ??= problemResponse(status);
  return all;
}

function problemResponse(status: number): object {
  const schema = { $ref: '#/components/schemas/Problem' };
  return {
    description: problemNames[status] ?? 'Refused',
    content: { 'application/problem+json': { schema } },
  };
}

function problemStatuses(route: Route): number[] {
  const statuses = new Set(route.problems ?? []);
  if (route.scope !== null) for (const status of [401, 403, 429, 503]) statuses.add(status);
  if (route.body) for (const status of [400, 408, 413, 415, 422]) statuses.add(status);
  if (route.params) statuses.add(422);
  if (route.query) for (const status of [400, 422]) statuses.add(status);
  if (route.idempotent) for (const status of [400, 409, 422]) statuses.add(status);
  return [...statuses].sort((a, b) => a - b);
}
