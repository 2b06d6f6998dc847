// What must hold when everything has healed: nothing waits any more, and all that was accepted is
// accounted for.
// Invariant: `atRest` names the first thing that still waits, or nothing.
import { isAccountedFor, sequenceOf } from './checks.ts';
import type { Simulation } from './simulate.ts';
import { UNIT } from './traffic.ts';

export function atRest({ redis, ledger }: Simulation): string | null {
  if (ledger.outbox.size > 0) return `${ledger.outbox.size} follow-ups wait in the outbox`;
  if (ledger.deferred.size > 0) return `${ledger.deferred.size} deferred events wait`;
  for (const [partition, stream] of redis.streams) {
    const { settled } = ledger.streams.get(`events.${partition}`)!;
    if (settled < stream.counter)
      return `events.${partition} is settled to ${settled} of ${stream.counter}`;
    if (settled !== stream.announced)
      return `events.${partition} is settled to ${settled}, announced to ${stream.announced}`;
    if (stream.group === null) {
      if (stream.entries.length > 0) return `events.${partition} has no group`;
      continue;
    }
    const { pending, delivered } = stream.group;
    if (pending.size > 0)
      return `events.${partition} has ${pending.size} pending, of ${[...pending.values()].join()}`;
    const last = stream.entries.at(-1)?.number ?? 0;
    if (last > delivered) return `events.${partition} has entries that nobody has read`;
  }
  return null;
}

export function finalChecks({ redis, ledger, checks }: Simulation): void {
  for (const { isLost, damage, events, partition, first } of redis.appended) {
    if (isLost || damage === 'foreign') continue;
    for (const { id } of events)
      if (!isAccountedFor(ledger, id, `events.${partition}`, first))
        checks.violate('accounting', `${id}, at events.${partition}.${first}, left no trace`);
  }
  const rows = [...ledger.streams.values()];
  const sum = (name: 'posted' | 'refused' | 'dead'): number =>
    rows.reduce((total, row) => total + row[name], 0);
  const outcomes = ledger.outcomes.size + ledger.conflicts.length;
  if (sum('posted') + sum('refused') !== outcomes)
    checks.violate('accounting', `${sum('posted')} posted, ${outcomes} outcomes and conflicts`);
  const dead = ledger.dead.reduce((total, { item }) => total + item.events, 0);
  if (sum('dead') !== dead) checks.violate('accounting', `${sum('dead')} dead, ${dead} letters`);
  for (const { account, units, isComplete } of redis.cache.current()) {
    if (!isComplete) continue;
    const sequence = sequenceOf(ledger, account);
    if ((units.get(UNIT)?.sequence ?? 0) !== sequence)
      checks.violate(
        'cache',
        `${account} is cached as of ${units.get(UNIT)?.sequence}, it is at ${sequence}`,
      );
  }
}
