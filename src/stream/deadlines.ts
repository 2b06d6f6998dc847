// Deadlines on what the engine asks of Postgres, whose client has none: a connection that has gone
// silent would hold up whoever waits for it until the kernel gives it up, a quarter of an hour.
// Invariant: every call settles; one that ran into its deadline may still take effect.
import { within } from '../io/deadline.ts';
import type { EnginePorts } from './engine.ts';

/** Above Postgres' own statement timeout, which answers unless the connection is dead. */
const BATCH_DEADLINE_MS = 35_000;
/** Small questions; the leases must not be held up for long. */
const QUESTION_DEADLINE_MS = 10_000;

export function withDeadlines(ports: EnginePorts): EnginePorts {
  const { ledger, leases, deferred, outbox, world } = ports;
  const batch = <T>(asked: Promise<T>): Promise<T> => within(asked, BATCH_DEADLINE_MS, world.time);
  const question = <T>(asked: Promise<T>): Promise<T> =>
    within(asked, QUESTION_DEADLINE_MS, world.time);
  return {
    ...ports,
    ledger: {
      load: (request) => batch(ledger.load(request)),
      write: (plan, steps) => batch(ledger.write(plan, steps)),
      faultOf: (error) => ledger.faultOf(error),
    },
    leases: {
      renew: (starting) => question(leases.renew(starting)),
      acquire: (stream) => question(leases.acquire(stream)),
      release: (streams) => question(leases.release(streams)),
      leave: () => question(leases.leave()),
    },
    deferred: { due: (streams, limit) => question(deferred.due(streams, limit)) },
    outbox: {
      waiting: (limit) => question(outbox.waiting(limit)),
      relayed: (ids) => question(outbox.relayed(ids)),
    },
  };
}
