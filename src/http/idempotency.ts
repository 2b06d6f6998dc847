// Idempotency-Key on money commands: the first answer is kept in Redis for a day and given again.
// Success and refusal (409) are answers; what a retry may change (5xx, 429, wrong shape) is not.
// A command that is one step in Redis keeps its answer in that step; others claim the key first.
// Invariant: of several requests with one key at once, at most one has an effect, and whoever is
// answered is answered the same.
import type { Redis } from 'ioredis';
import { ANSWER_MEMORY_MS, type AnswerText } from '../cache/redemption-scripts.ts';
import { sendTogether } from '../io/one-write.ts';
import { TooFewReplicas, replicated } from '../io/replicas.ts';
import { hasIssuedNumber } from './issued-numbers.ts';
import { Problem, problem } from './problem.ts';
import { Answer, type Outcome } from './route.ts';

/** How long an answer is replayed. Published in the OpenAPI document. */
export const REPLAY_S = ANSWER_MEMORY_MS / 1_000;
/** After a crash in the middle of a command, its key is free again after this long. */
const RUNNING_MS = 30_000;

/** Takes: slot; fingerprint, a fresh id, a mark of this claim, how long it runs in ms, how long the
 * slot is kept in s. Gives: whether it is ours, and what the slot holds. A claim that ran out or
 * was given back is taken over with its id, so that the command's second run is the same command.
 * Safe to repeat: no, the second run sees the first one's claim as running. */
const CLAIM = `
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local held, id = redis.call('GET', KEYS[1]), ARGV[2]
if held then
  local slot = cjson.decode(held)
  if slot.answer or slot.fingerprint ~= ARGV[1] or slot['until'] > ms then return {0, held} end
  id = slot.id
end
local claim = string.format('{"fingerprint":"%s","id":"%s","claim":"%s","until":%d}',
  ARGV[1], id, ARGV[3], ms + ARGV[4])
redis.call('SET', KEYS[1], claim, 'EX', ARGV[5])
return {1, claim}
`;

/** Takes: slot; the claim, what is to be there instead ('' for nothing), its time to live in s.
 * Writes only while the claim still holds the slot. Safe to repeat: yes. */
const SETTLE = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1])
else redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) end
return 1
`;

interface Stored {
  fingerprint: string;
  /** Left out while the first request runs, or when nobody knows what became of it. */
  answer?: {
    status: number;
    body: unknown;
    headers: Readonly<Record<string, string>>;
    /** Set for a refusal: the problem is made again, with the id of the new request. */
    problem?: { code: Problem['code']; detail: string; errors?: Problem['errors'] };
  };
}

/** A request under its key: where its answer is kept, and what it said. */
export interface Once {
  slot: string;
  fingerprint: string;
}

interface Claim extends Once {
  /** The same for every run under this key: what a command makes its own id of. */
  id: string;
  text: string;
}

export function onceOf(tenant: number, route: string, key: string, fingerprint: string): Once {
  return { slot: `idempotency:${tenant}:${route}:${key}`, fingerprint };
}

/** Stands for what only Redis will know. Nobody can guess it: no caller's text is taken for it. */
const HOLE = crypto.randomUUID();

/** What is kept of a success, around a part of some string in its body that Redis puts in. */
export function keptAround(once: Once, answer: (hole: string) => Answer): AnswerText {
  const { status, headers = {}, body } = answer(HOLE);
  const text = textOf(once, { status, headers, body });
  const at = text.indexOf(HOLE);
  return { slot: once.slot, before: text.slice(0, at), after: text.slice(at + HOLE.length) };
}

export class Idempotency {
  constructor(private readonly redis: Redis) {
    redis.defineCommand('idempotencyClaim', { numberOfKeys: 1, lua: CLAIM });
    redis.defineCommand('idempotencySettle', { numberOfKeys: 1, lua: SETTLE });
  }

  /** A claim to be settled; or what to answer instead of running. */
  private async claim(once: Once, keptS: number): Promise<Claim | Outcome> {
    const { slot, fingerprint } = once;
    const [fresh, mark] = [Bun.randomUUIDv7(), crypto.randomUUID()];
    const args = [slot, fingerprint, fresh, mark, RUNNING_MS, keptS];
    const asked = await sendTogether(this.redis, 'idempotencyClaim', args);
    const [isOurs, held] = asked as [0 | 1, string];
    if (isOurs) return { slot, text: held, fingerprint, id: (JSON.parse(held) as Claim).id };
    // A claim is no promise; an answer that was kept is one, whoever kept it.
    return await replicated(this.redis, Promise.resolve(earlier(once, held)));
  }

  /**
   * For a command of several steps: it runs while it holds the claim. When it failed and may have
   * happened all the same, the next run is given the same id (a UUIDv7).
   */
  run(once: Once, command: (id: string) => Promise<Outcome>): Promise<Outcome> {
    return this.underClaim(once, command, true);
  }

  /** For a command that finds out by itself whether it has happened before. */
  runAnew(once: Once, command: () => Promise<Outcome>): Promise<Outcome> {
    return this.underClaim(once, command, false);
  }

  private async underClaim(
    once: Once,
    command: (id: string) => Promise<Outcome>,
    keepsId: boolean,
  ): Promise<Outcome> {
    const claim = await this.claim(once, keepsId ? REPLAY_S : RUNNING_MS / 1_000);
    if (!isClaim(claim)) return claim;
    let outcome: Outcome | null = null;
    try {
      outcome = await command(claim.id);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      outcome = error;
    } finally {
      // The command has happened or not; that its answer could not be kept is no reason to fail it.
      await this.settle(claim, outcome, keepsId).catch(unlessUnconfirmed);
    }
    return outcome;
  }

  /** For an outcome without an effect: the first answer under the key is given to everybody. */
  async keep(once: Once, outcome: Outcome): Promise<Outcome> {
    const answer = answerToKeep(outcome);
    if (!answer) return outcome;
    const args = [once.slot, textOf(once, answer), 'EX', REPLAY_S, 'NX', 'GET'];
    const asked = sendTogether(this.redis, 'set', args);
    const held = await replicated(this.redis, asked).catch(unlessUnconfirmed);
    return typeof held === 'string' ? earlier(once, held) : outcome;
  }

  /** Keeps the answer; or frees the key when a retry may be answered otherwise, but not the id of
   * what may have happened. */
  private async settle(claim: Claim, outcome: Outcome | null, keepsId: boolean): Promise<void> {
    const answer = outcome === null ? undefined : answerToKeep(outcome);
    const { fingerprint, id } = claim;
    const unknown = keepsId && (outcome === null || outcome.status >= 500);
    const free = unknown ? JSON.stringify({ fingerprint, id, until: 0 }) : '';
    const text = answer ? textOf(claim, answer) : free;
    const args = [claim.slot, claim.text, text, REPLAY_S];
    const asked = sendTogether(this.redis, 'idempotencySettle', args);
    await (answer ? replicated(this.redis, asked) : asked);
  }
}

/** The command stands without its answer being kept. Where replicas count it is asked for again,
 * since after a failover it would be answered anew. */
function unlessUnconfirmed(error: unknown): null {
  if (error instanceof TooFewReplicas) throw error;
  return null;
}

function isClaim(value: Claim | Outcome): value is Claim {
  return 'slot' in value;
}

function textOf({ fingerprint }: Once, answer: NonNullable<Stored['answer']>): string {
  return JSON.stringify({ fingerprint, answer } satisfies Stored);
}

/** The outcome of a request whose key holds something. */
export function earlier(once: Once, held: string): Outcome {
  const stored = JSON.parse(held) as Stored;
  if (stored.fingerprint !== once.fingerprint)
    return problem(422, 'idempotency_key_reused', 'The first request had another body.');
  if (stored.answer) return replay(stored.answer);
  return problem(409, 'idempotency_in_flight', 'Retry when it has been answered.', {
    headers: { 'Retry-After': '1' },
  });
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
  if (!visibleAscii.test(key))
    return problem(400, 'malformed_request', 'Idempotency-Key takes 1 to 128 visible characters.');
  // It is kept for a day.
  if (hasIssuedNumber(key))
    return problem(422, 'card_number_refused', 'The Idempotency-Key looks like a card number.');
  return key;
}

/** Of what the request says, not of how it is written: member order and spaces do not matter. */
export function fingerprintOf(path: string, body: unknown): string {
  return Bun.SHA256.hash(`${path}\n${JSON.stringify(inOrder(body))}`, 'base64');
}

/** The same with the members of every object in the order of their names. */
function inOrder(value: unknown): unknown {
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map(inOrder);
  const members = value as Record<string, unknown>;
  // Not by assignment, which takes a member named __proto__ for something else.
  const names = Object.keys(members).sort();
  return Object.fromEntries(names.map((name) => [name, inOrder(members[name])]));
}
