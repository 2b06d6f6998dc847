// Deny and allow lists: customers, addresses, devices and tokens that are blocked or let through
// whatever the rules say, for a while or until they are taken off.
// Invariant: the value of an address or a token goes in and does not come out.
import { Type } from '@sinclair/typebox';
import { Note } from '../../schemas/payments.ts';
import { closed } from '../../schemas/primitives.ts';
import { ListEntry, ListEntryId, ListEntryRequest } from '../../schemas/risk.ts';
import { networkOf } from '../http/address.ts';
import { refuseCardNumbers } from '../http/card-numbers.ts';
import { page, pageOf, pageQuery, readPage } from '../http/cursor.ts';
import { problem } from '../http/problem.ts';
import { type Route, defineRoute, json } from '../http/route.ts';
import type { Sql } from '../io/postgres.ts';
import {
  ENTRIES_MAX,
  getListEntry,
  listEntries,
  putListEntry,
  removeListEntry,
} from '../store/risk-lists.ts';

interface ListParts {
  sql: Sql;
}

const shared = { tag: 'risk', limit: 'requests', scope: ['finance:approve', 'admin'] } as const;
const params = closed({ id: ListEntryId });
const nobody = { id: 'deny.ip.AAAAAAAAAAAAAAAAAAAAAA' };
const CLIENT_ID_MAX = 128;

export function riskListRoutes(parts: ListParts): Route[] {
  return [addEntry(parts), listAll(parts), getEntry(parts), removeEntry(parts)];
}

function addEntry({ sql }: ListParts): Route {
  const example = { list: 'deny', subject: 'ip', reason: 'Card testing.' } as const;
  return defineRoute({
    ...shared,
    name: 'addToRiskList',
    method: 'POST',
    path: '/v1/risk/lists',
    summary: 'Put a customer, address, device or token on a list',
    description:
      'Holds for payments within a second. Who is on both lists is blocked. The same value again ' +
      'replaces the entry. IPv6 addresses count by their /64.',
    body: ListEntryRequest,
    answers: {
      200: { description: 'Changed.', schema: ListEntry },
      201: { description: 'Added.', schema: ListEntry },
    },
    problems: [409],
    examples: [
      { name: 'new', status: 201, body: { ...example, value: '203.0.113.9' } },
      { name: 'again', status: 200, body: { ...example, value: '203.0.113.9' } },
    ],
    async handler({ tenant, key, body }) {
      refuseCardNumbers(body);
      const request = { ...body, value: valueOf(body) };
      const put = await putListEntry(sql, tenant, request, `key:${key.id}`);
      if (put) return json(put.created ? 201 : 200, put.entry);
      return problem(409, 'list_full', `Lists have at most ${ENTRIES_MAX} entries in all.`);
    },
  });
}

/** As payments are compared with it. */
function valueOf({ subject, value, expires_at: expiresAt }: ListEntryRequest): string {
  const refusal = (pointer: string, detail: string) =>
    problem(422, 'invalid_request', 'See `errors` for what is wrong, and where.', {
      errors: [{ pointer, detail }],
    });
  if (expiresAt !== undefined && Date.parse(expiresAt) <= Date.now())
    throw refusal('/expires_at', 'Is in the past.');
  if (subject === 'ip') {
    const network = networkOf(value);
    if (!network) throw refusal('/value', 'Is no IP address.');
    return network;
  }
  if (subject !== 'token' && value.length > CLIENT_ID_MAX)
    throw refusal('/value', `Ids have at most ${CLIENT_ID_MAX} characters.`);
  return value;
}

function listAll({ sql }: ListParts): Route {
  return defineRoute({
    ...shared,
    name: 'listRiskLists',
    method: 'GET',
    path: '/v1/risk/lists',
    summary: 'Everybody who is on a list now',
    query: closed(pageQuery),
    answers: { 200: { description: 'A page.', schema: pageOf(ListEntry) } },
    examples: [{ name: 'all', status: 200 }],
    async handler({ tenant, query }) {
      const { limit, after } = readPage(query);
      const entries = await listEntries(sql, tenant, { after: after ?? '', limit: limit + 1 });
      return json(
        200,
        page(
          entries,
          limit,
          ({ id }) => id,
          (entry) => entry,
        ),
      );
    },
  });
}

function getEntry({ sql }: ListParts): Route {
  return defineRoute({
    ...shared,
    name: 'getRiskListEntry',
    method: 'GET',
    path: '/v1/risk/lists/{id}',
    summary: 'An entry of a list',
    params,
    answers: { 200: { description: 'The entry.', schema: ListEntry } },
    problems: [404],
    examples: [{ name: 'unknown', status: 404, params: nobody }],
    async handler({ tenant, params: { id } }) {
      const entry = await getListEntry(sql, tenant, id);
      return entry ? json(200, entry) : noEntry();
    },
  });
}

function removeEntry({ sql }: ListParts): Route {
  return defineRoute({
    ...shared,
    name: 'removeFromRiskList',
    method: 'DELETE',
    path: '/v1/risk/lists/{id}',
    summary: 'Take an entry off its list',
    params,
    query: closed({ reason: Type.Optional(Note) }),
    answers: { 200: { description: 'Taken off.', schema: closed({ id: ListEntryId }) } },
    problems: [404],
    examples: [{ name: 'unknown', status: 404, params: nobody }],
    async handler({ tenant, key, params: { id }, query: { reason } }) {
      refuseCardNumbers({ reason });
      const by = { actor: `key:${key.id}`, reason };
      return (await removeListEntry(sql, tenant, id, by)) ? json(200, { id }) : noEntry();
    },
  });
}

function noEntry() {
  return problem(404, 'not_found', 'There is no such entry, or it has expired.');
}
