// Every process is killed in the middle of a load. When the supervisor has brought it back, every
// acknowledged event is in the ledger exactly once, and `verify` holds.
import { expect, test } from 'bun:test';
import { type AcceptedEvent, type SentEvent, audit } from '../auditor.ts';
import {
  expectBooksInOrder,
  expectLedgerEquals,
  expectVerdictsEqual,
  settledReport,
} from '../ledger-proof.ts';
import { startLoad } from '../load-client.ts';
import { mixedEvents } from '../mixed-events.ts';
import { eventually } from '../processes.ts';
import { type Part, startSupervised } from './supervised.ts';

const stack = await startSupervised();
const acknowledged: AcceptedEvent[] = [];

/** Ids, users and games of one round are apart from those of the others. */
function roundOf(name: string, seed: number): SentEvent[] {
  const { sent } = mixedEvents({ count: 8_000, users: 200, seed, contradictions: 0 });
  return sent.map((event) => {
    const { user_id: user, game_id: game } = event.data;
    const own = user
      ? { user_id: `${name}_${String(user)}` }
      : { game_id: `${name}_${String(game)}` };
    return { ...event, id: `${name}_${event.id}`, data: { ...event.data, ...own } };
  });
}

/** `disturb` begins in the middle of the load. */
async function loadWhile(name: string, seed: number, disturb: () => Promise<void>) {
  const events = roundOf(name, seed);
  const { tally, done } = startLoad(events, {
    urls: [stack.url],
    key: stack.key,
    concurrency: 8,
    batchEvents: 10,
  });
  await eventually('a quarter is acknowledged', () => tally.accepted.length > events.length / 4);
  expect(tally.accepted.length).toBeLessThan(events.length);
  await disturb();
  await done;
  acknowledged.push(...tally.accepted);
  return tally;
}

async function kill(part: Part): Promise<void> {
  const pid = stack.pidOf(part);
  process.kill(pid, 'SIGKILL');
  await eventually(`${part} runs again`, () => stack.pidOf(part) !== pid, 20_000);
}

/**
 * An event whose first answer was lost was acknowledged at its second place and decided at its
 * first. So the order is the ledger's; what it did with each event is judged by the auditor.
 */
async function inLedgerOrder(): Promise<AcceptedEvent[]> {
  const rows = await stack.owner<{ event_id: string; stream: string; stream_offset: bigint }[]>`
    select event_id, stream, stream_offset from outcomes`;
  const recorded = new Map(rows.map((row) => [row.event_id, row]));
  return acknowledged.map((event) => {
    const row = recorded.get(event.id);
    if (!row) throw new Error(`${event.id} was acknowledged and is not in the ledger`);
    const position = `${row.stream}.${row.stream_offset}`;
    const [topic, partition, offset] = event.position.split('.');
    expect(row.stream).toBe(`${topic}.${partition}`);
    expect(Number(row.stream_offset)).toBeLessThanOrEqual(Number(offset));
    return { ...event, position };
  });
}

async function expectNothingLostOrDoubled(): Promise<void> {
  const report = await settledReport(stack, 60_000);
  const dead = await stack.owner`
    select reason, detail, count(*)::int from dead_letters group by 1, 2`;
  expect([...dead]).toEqual([]);
  expect(report).toMatchObject({ ok: true, dead: 0, pending: 0, problems: [] });
  const audited = audit(await inLedgerOrder(), []);
  await expectVerdictsEqual(stack.owner, audited);
  await expectBooksInOrder(stack.owner);
  // Events of the load are the only ones on these accounts.
  const loaded = new Map([...audited.balances].filter(([account]) => account.startsWith('user:')));
  await expectLedgerEquals(stack.owner, { ...audited, balances: loaded }, 'user:%_u_%');
}

const rounds: [Part, number][] = [
  ['worker', 1],
  ['ingress', 2],
  ['redis', 3],
  ['postgres', 4],
];

test.each(rounds)(
  'SIGKILL of %s under load loses nothing and doubles nothing',
  async (part, seed) => {
    const tally = await loadWhile(part, seed, async () => {
      await kill(part);
      await Bun.sleep(300);
      await kill(part);
    });
    expect(tally.accepted.length).toBeGreaterThan(8_000);
    await expectNothingLostOrDoubled();
  },
  150_000,
);

test('SIGKILL of all four at once loses nothing and doubles nothing', async () => {
  await loadWhile('all', 5, async () => {
    await Promise.all((['redis', 'worker', 'postgres', 'ingress'] as const).map(kill));
  });
  await expectNothingLostOrDoubled();
}, 150_000);

test('a worker that is asked to stop under load hands over what it has', async () => {
  await loadWhile('graceful', 6, async () => {
    for (let turn = 0; turn < 3; turn++) {
      const pid = stack.pidOf('worker');
      process.kill(pid, 'SIGTERM');
      await eventually('the worker is replaced', () => stack.pidOf('worker') !== pid, 20_000);
    }
  });
  await expectNothingLostOrDoubled();
}, 150_000);

test('nothing is in the ledger that was not acknowledged in the end', async () => {
  const rows = await stack.owner<{ event_id: string }[]>`
    select event_id from outcomes where event_id ~ '^[a-z]+_evt_[0-9]+$'`;
  const ids = new Set(acknowledged.map(({ id }) => id));
  expect(rows.filter(({ event_id: id }) => !ids.has(id))).toEqual([]);
  expect(rows.length).toBe(ids.size);
});
