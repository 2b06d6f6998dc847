// Idempotency-Key on money commands: the first answer is kept in Redis for a day and given again.
// Success and refusal (409) are answers; what a retry may change (5xx, 429, wrong shape) is not.
// Invariant: of several requests with one key at once, at most one runs.
import type { Redis } from 'ioredis';
import { sendTogether } from '../io/one-write.ts';
import { type Problem, problem } from './problem.ts';
import { Answer, type Outcome } from './route.ts';

/** How long an answer is replayed. Published in the OpenAPI document. */
export const REPLAY_S = 24 * 60 * 60;
/** After a crash in the middle of a command, its key is free again after this long. */
const RUNNING_MS = 30_000;

/** Takes: slot; claim as JSON, its time to live in ms. Gives: what holds the slot, or nil when the
 * claim took it. Safe to repeat: no, the second run sees the first one's claim as running. */
const CLAIM = `
local held = redis.call('GET', KEYS[1])
if held then return held end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return nil
`;

/** Takes: slot; the claim, the answer ('' to free the slot), its time to live in s. Writes only
 * while the claim still holds the slot. Safe to repeat: yes. */
const SETTLE = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1])
else redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) end
return 1
`;

interface Stored {
  fingerprint: string;
  /** Left out while the first request runs. */
  answer?: {
    status: number;
    body: unknown;
    headers: Readonly<Record<string, string>>;
    /** Set for a refusal: the problem is made again, with the id of the new request. */
    problem?: { code: Problem['code']; detail: string; errors?: Problem['errors'] };
  };
}

export interface Claim {
  slot: string;
  text: string;
  fingerprint: string;
}

export class Idempotency {
  constructor(private readonly redis: Redis) {
    redis.defineCommand('idempotencyClaim', { numberOfKeys: 1, lua: CLAIM });
    redis.defineCommand('idempotencySettle', { numberOfKeys: 1, lua: SETTLE });
  }

  /** A claim to be settled; or what to answer instead of running. */
  async claim(
    tenant: number,
    route: string,
    key: string,
    fingerprint: string,
  ): Promise<Claim | Outcome> {
    const slot = `idempotency:${tenant}:${route}:${Bun.SHA256.hash(key, 'hex')}`;
    const text = JSON.stringify({ fingerprint, claim: crypto.randomUUID() });
    const held = await sendTogether(this.redis, 'idempotencyClaim', [slot, text, RUNNING_MS]);
    if (typeof held !== 'string') return { slot, text, fingerprint };
    const stored = JSON.parse(held) as Stored;
    if (stored.fingerprint !== fingerprint)
      return problem(422, 'idempotency_key_reused', 'The first request had another body.');
    if (!stored.answer)
      return problem(409, 'idempotency_in_flight', 'Retry when it has been answered.', {
        headers: { 'Retry-After': '1' },
      });
    return replay(stored.answer);
  }

  /** Keeps the answer, or frees the key when a retry may be answered otherwise. */
  async settle(claim: Claim, outcome: Outcome | null): Promise<void> {
    const answer = outcome === null ? undefined : answerToKeep(outcome);
    const text = answer ? JSON.stringify({ fingerprint: claim.fingerprint, answer }) : '';
    const args = [claim.slot, claim.text, text, REPLAY_S];
    await sendTogether(this.redis, 'idempotencySettle', args);
  }
}

export function isClaim(value: Claim | Outcome): value is Claim {
  return 'slot' in value;
}

function answerToKeep(outcome: Outcome): Stored['answer'] {
  if (outcome instanceof Response) return undefined;
  const { status, headers = {} } = outcome;
  if (outcome instanceof Answer)
    return status < 300 ? { status, headers, body: outcome.body } : undefined;
  if (status !== 409) return undefined;
  const { code, detail, errors } = outcome;
  return { status, headers, body: null, problem: { code, detail, ...(errors && { errors }) } };
}

function replay(stored: NonNullable<Stored['answer']>): Outcome {
  const headers = { ...stored.headers, 'Idempotency-Replayed': 'true' };
  if (!stored.problem) return new Answer(stored.status, stored.body, headers);
  const { code, detail, errors } = stored.problem;
  return problem(stored.status, code, detail, { headers, ...(errors && { errors }) });
}

const visibleAscii = /^[\x21-\x7e]{1,128}$/;

/** The key, whether it came as a structured-field string (quoted) or bare. */
export function idempotencyKeyOf(headers: Headers): string | Problem {
  const given = headers.get('idempotency-key')?.trim();
  if (!given) return problem(400, 'idempotency_key_missing', 'Send an Idempotency-Key header.');
  const quoted = /^"((?:[^"\\]|\\["\\])*)"$/.exec(given);
  const key = quoted ? quoted[1]!.replace(/\\(["\\])/g, '$1') : given;
  if (visibleAscii.test(key)) return key;
  return problem(400, 'malformed_request', 'Idempotency-Key takes 1 to 128 visible characters.');
}

/** Of what the request says, not of how it is written: member order and spaces do not matter. */
export function fingerprintOf(path: string, body: unknown): string {
  return Bun.SHA256.hash(`${path}\n${canonical(body)}`, 'hex');
}

function canonical(value: unknown): string {
  return (
    JSON.stringify(value, (_, member: unknown) =>
      member !== null && typeof member === 'object' && !Array.isArray(member)
        ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
        : member,
    ) ?? ''
  );
}
