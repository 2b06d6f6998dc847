// Partners of games: terms that say who earns what. (Results of games come in as events.)
// Invariant: terms are versioned documents; a change is seen by the next game that is decided.
import { Partner, PartnerId, PartnerTerms } from '../../schemas/games.ts';
import { closed } from '../../schemas/primitives.ts';
import { page, pageOf, pageQuery, readPage } from '../http/cursor.ts';
import { problem } from '../http/problem.ts';
import { type Route, defineRoute, json } from '../http/route.ts';
import type { Sql } from '../io/postgres.ts';
import { type Document, getDocument, listDocuments, putDocument } from '../store/documents.ts';

export interface GameParts {
  sql: Sql;
}

const KIND = 'partners';
const read = { scope: ['partners:write', 'balances:read'], limit: 'requests' } as const;
const params = closed({ id: PartnerId });

const terms: PartnerTerms = {
  name: 'Ada Studio',
  share_bp: 5_000,
  commission_bp: 1_000,
  currency: 'USD',
  status: 'active',
};

export function gameRoutes({ sql }: GameParts): Route[] {
  return [putPartner(sql), getPartner(sql), listPartners(sql)];
}

function putPartner(sql: Sql): Route {
  return defineRoute({
    name: 'putPartner',
    method: 'PUT',
    path: '/v1/partners/{id}',
    tag: 'partners',
    summary: 'Create or change a partner',
    description: 'Terms that are already there keep their version.',
    scope: 'partners:write',
    limit: 'partners',
    params,
    body: PartnerTerms,
    answers: {
      200: { description: 'Changed, or as it was.', schema: Partner },
      201: { description: 'Created.', schema: Partner },
    },
    examples: [
      { name: 'create', status: 201, params: { id: 'p_1' }, body: terms },
      { name: 'again', status: 200, params: { id: 'p_1' }, body: terms },
    ],
    async handler({ tenant, key, params: { id }, body }) {
      const put = await putDocument(sql, tenant, KIND, id, body, `key:${key.id}`);
      const partner = partnerOf({ ...put, body });
      return json(put.created ? 201 : 200, partner);
    },
  });
}

function getPartner(sql: Sql): Route {
  return defineRoute({
    ...read,
    name: 'getPartner',
    method: 'GET',
    path: '/v1/partners/{id}',
    tag: 'partners',
    summary: 'A partner',
    params,
    answers: { 200: { description: 'The partner.', schema: Partner } },
    problems: [404],
    examples: [
      { name: 'known', status: 200, params: { id: 'p_1' } },
      { name: 'unknown', status: 404, params: { id: 'p_nobody' } },
    ],
    async handler({ tenant, params: { id } }) {
      const found = await getDocument<PartnerTerms>(sql, tenant, KIND, id);
      return found ? json(200, partnerOf(found)) : problem(404, 'not_found', 'No such partner.');
    },
  });
}

function listPartners(sql: Sql): Route {
  return defineRoute({
    ...read,
    name: 'listPartners',
    method: 'GET',
    path: '/v1/partners',
    tag: 'partners',
    summary: 'Partners, by id',
    query: closed(pageQuery),
    answers: { 200: { description: 'A page.', schema: pageOf(Partner) } },
    examples: [{ name: 'first page', status: 200, query: { limit: 10 } }],
    async handler({ tenant, query }) {
      const { limit, after } = readPage(query);
      const rows = await listDocuments<PartnerTerms>(sql, tenant, KIND, {
        after: after ?? '',
        limit: limit + 1,
      });
      return json(
        200,
        page(rows, limit, (row) => row.key, partnerOf),
      );
    },
  });
}

function partnerOf(document: Omit<Document<PartnerTerms>, 'change'>): Partner {
  const { key, version, created_at, updated_at, body } = document;
  const { name, share_bp, commission_bp, currency, status } = body;
  return {
    id: key,
    name,
    share_bp,
    commission_bp,
    currency,
    status,
    version,
    created_at: created_at.toISOString(),
    updated_at: updated_at.toISOString(),
  };
}
