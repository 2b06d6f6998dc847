// Which errors mean that a store is away (503, retry with the same ids), and which are ours (500).
import { AppendRefused } from '../stream/append.ts';
import { KeysUnavailable } from '../cache/keys.ts';
import { DeadlineExceeded } from '../io/deadline.ts';
import { sqlState } from '../io/postgres.ts';
import { TooFewReplicas } from '../io/replicas.ts';
import { type Problem, unavailable } from './problem.ts';

const appendRefusals = {
  redis_unavailable: () => unavailable('store_unavailable', 'Redis is away.'),
  redis_full: () => unavailable('overloaded', 'Redis has no memory left for events.', 5),
  too_few_replicas: () =>
    unavailable('store_unavailable', 'Too few replicas of Redis have confirmed it.'),
  too_many_waiting: () => unavailable('overloaded', 'Too many events are waiting for Redis.'),
} as const;

/** Server states that pass: connection trouble, shutdown, too many clients, timeouts, conflicts. */
const passingState = /^(08|57P0[123]|57014|53|40001|40P01|55P03)/;
const lostPostgres =
  /^(CONNECTION_(CLOSED|ENDED|DESTROYED)|CONNECT_TIMEOUT|ECONNREFUSED|ECONNRESET|EPIPE|ENOTFOUND)$/;
const lostRedis = /Connection is closed|Stream isn't writeable|Command timed out|Socket timeout/;
const refusingRedis =
  /^(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|OOM|BUSY|TRYAGAIN|NOREPLICAS|MISCONF) /;

/** Null for an error that is nobody's outage. */
export function outageOf(error: unknown): Problem | null {
  if (error instanceof AppendRefused) return appendRefusals[error.reason]();
  if (error instanceof TooFewReplicas) return appendRefusals.too_few_replicas();
  if (error instanceof KeysUnavailable)
    return unavailable('store_unavailable', 'Keys cannot be checked while Postgres is away.');
  if (error instanceof DeadlineExceeded)
    return unavailable('store_unavailable', 'A store did not answer in time.');
  if (!(error instanceof Error)) return null;
  if (passingState.test(sqlState(error) ?? '') || lostPostgres.test(codeOf(error)))
    return unavailable('store_unavailable', 'Postgres is away.');
  const { name, message } = error;
  if (
    name === 'MaxRetriesPerRequestError' ||
    lostRedis.test(message) ||
    refusingRedis.test(message)
  )
    return unavailable('store_unavailable', 'Redis is away.');
  return null;
}

function codeOf(error: Error): string {
  const code: unknown = 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : '';
}
