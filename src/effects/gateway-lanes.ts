// The lanes of all gateways, and what belongs to them: accounts, word of trouble, and the second
// look at charges that were not decided.
import type { Redis } from 'ioredis';
import { type GatewayName, gatewayNames } from '../../schemas/payments.ts';
import { GatewayAccounts } from '../gateways/accounts.ts';
import { TroubleTeller } from '../gateways/health.ts';
import { type GatewayUrls, gatewayOpener } from '../gateways/open.ts';
import type { Log } from '../io/log.ts';
import { periodic } from '../io/periodic.ts';
import type { Sql } from '../io/postgres.ts';
import type { Vault } from '../store/secrets.ts';
import { BREAKER_OPEN_MS, gatewayHandler, gatewayLane } from './gateway-lane.ts';
import { Lane, type LaneParts } from './lane.ts';
import type { LaneMetrics } from './metrics.ts';

export interface GatewayLanesParts {
  redis: Redis;
  sql: Sql;
  /** Null: no key of secrets, so no tenant has an account. */
  vault: Vault | null;
  urls: GatewayUrls;
  log: Log;
  shared: Omit<LaneParts, 'handler' | 'metrics'>;
  metricsOf(lane: string): LaneMetrics;
}

/** Charges are asked for again when they are undecided for so long. */
const UNDECIDED_MS = 60_000;
const LOOK_MS = 15_000;
const LOOK_COUNT = 500;

export async function openGatewayLanes(parts: GatewayLanesParts) {
  const { sql, vault, log } = parts;
  const accounts = new GatewayAccounts(sql, vault, (error) =>
    log.warn({ error: String(error) }, 'accounts with gateways are not up to date'),
  );
  await accounts.ready;
  const lanes = gatewayNames.map((name) => laneOf(parts, accounts, name));
  const looking = periodic('undecided charges', LOOK_MS, () => askAgain(sql, lanes), log);
  return {
    lanes,
    /** After the lanes have stopped. */
    async stop(): Promise<void> {
      await looking.stop();
      await accounts.stop();
    },
  };
}

function laneOf(parts: GatewayLanesParts, accounts: GatewayAccounts, name: GatewayName): Lane {
  const options = gatewayLane(name);
  const metrics = parts.metricsOf(options.name);
  const watcher = new TroubleTeller(parts.redis, name, BREAKER_OPEN_MS);
  const handler = gatewayHandler(name, gatewayOpener(accounts, name, parts.urls), parts.log);
  return new Lane({ ...parts.shared, handler, metrics, watcher }, options);
}

async function askAgain(sql: Sql, lanes: readonly Lane[]): Promise<void> {
  const [row] = await sql`
    select system_charges_reopen(${UNDECIDED_MS}, ${LOOK_COUNT}) as count`;
  if (row!['count'] !== 0) for (const lane of lanes) lane.nudge();
}
