// The balance cache: one hash per account name, a field per unit holding "<sequence>:<balance>".
// A reader that finds nothing claims the hash, reads the ledger and fills it; from the claim on,
// every commit is written into it. Accounts that nobody reads cost nothing.
// Writers set absolute values with the sequence as version, so that a late or repeated write cannot
// turn a balance back. The field "*" says that the hash names every unit of the account.
// Invariant: a cached balance is never newer than the ledger, and older only until the write after
// its commit arrives; when such a write may have been lost, the generation goes and all expire. In
// a Redis that has no memory left both take away, and add nothing.
import { randomUUID } from 'node:crypto';
import type { ChainableCommander, Redis } from 'ioredis';
import { PARTITIONS, hashTag, partitionOf } from '../stream/topology.ts';

/** Takes: generation key, an account hash for each change; each as "<unit> <sequence>:<balance>".
 * Writes into hashes of this generation only: what is not there cannot be out of date. A hash that
 * cannot take its change goes. Safe to repeat: yes, older sequences lose. */
const PUT = `
local generation = redis.call('GET', KEYS[1])
if not generation then return 0 end
for i = 2, #KEYS do
  if redis.call('HGET', KEYS[i], '#') == generation then
    local unit, value = string.match(ARGV[i - 1], '^(%S+) (.+)$')
    local held = redis.call('HGET', KEYS[i], unit)
    if not held or
        tonumber(string.match(held, '^%d+')) < tonumber(string.match(value, '^%d+')) then
      local written = redis.pcall('HSET', KEYS[i], unit, value)
      if type(written) == 'table' and written.err then redis.call('DEL', KEYS[i]) end
    end
  end
end
return 1
`;

/** Takes: generation key, account hash; a claim, its time to live in s.
 * Gives: the hash's fields and values. Where it is of no use, it is claimed first ("?"). The
 * first generation is named by the time, so that none comes twice. */
const GET = `
local generation = redis.call('GET', KEYS[1])
if not generation then
  local time = redis.call('TIME')
  generation = time[1] .. string.format('%06d', time[2])
  redis.call('SET', KEYS[1], generation)
end
if redis.call('HGET', KEYS[2], '#') ~= generation then
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[2], '#', generation, '?', ARGV[1])
  redis.call('EXPIRE', KEYS[2], ARGV[2])
end
return redis.call('HGETALL', KEYS[2])
`;

/** Takes: generation key, account hash; the claim that was there before the balances were read,
 * time to live in s, then unit, sequence and balance of each.
 * Marks the hash complete, unless it is another one by now: that may have missed a commit which
 * these balances do not have either. Safe to repeat: yes. */
const FILL = `
local generation = redis.call('GET', KEYS[1])
if not generation or redis.call('HGET', KEYS[2], '#') ~= generation then return 0 end
if redis.call('HGET', KEYS[2], '?') ~= ARGV[1] then return 0 end
for i = 3, #ARGV, 3 do
  local held = redis.call('HGET', KEYS[2], ARGV[i])
  if not held or tonumber(string.match(held, '^%d+')) < tonumber(ARGV[i + 1]) then
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1] .. ':' .. ARGV[i + 2])
  end
end
redis.call('HSET', KEYS[2], '*', '1')
redis.call('EXPIRE', KEYS[2], ARGV[2])
return 1
`;

/** Takes: generation key. Begins another generation, or none where there is no memory for it.
 * Safe to repeat: yes. */
const EXPIRE = `
local begun = redis.pcall('INCR', KEYS[1])
if type(begun) == 'table' then redis.call('DEL', KEYS[1]) end
return 1
`;

/** Longer than any read of balances takes; a slower one fills nothing. */
const CLAIM_TTL_S = 60;

export interface BalanceChange {
  tenant: number;
  account: string;
  unit: string;
  balance: number;
  sequence: number;
}

export interface UnitBalance {
  unit: string;
  balance: number;
  sequence: number;
}

interface Scripts {
  balancesPut(keys: number, ...args: string[]): Promise<number>;
  balancesGet(
    generation: string,
    account: string,
    claim: string,
    claimTtlS: number,
  ): Promise<string[]>;
  balancesFill(
    generation: string,
    account: string,
    claim: string,
    ttlS: number,
    ...balances: (string | number)[]
  ): Promise<number>;
}

interface Expiry {
  balancesExpire(generation: string): unknown;
}

export class BalanceCache {
  private readonly scripts: Redis & Scripts;

  constructor(
    private readonly redis: Redis,
    private readonly ttlS: number,
  ) {
    redis.defineCommand('balancesPut', { lua: PUT });
    redis.defineCommand('balancesExpire', { numberOfKeys: 1, lua: EXPIRE });
    redis.defineCommand('balancesGet', { numberOfKeys: 2, lua: GET });
    redis.defineCommand('balancesFill', { numberOfKeys: 2, lua: FILL });
    this.scripts = redis as Redis & Scripts;
  }

  /** One script per partition touched. Rejects when any may not have arrived. */
  async put(changes: readonly BalanceChange[]): Promise<void> {
    const byPartition = new Map<number, { hashes: string[]; values: string[] }>();
    for (const { tenant, account, unit, sequence, balance } of changes) {
      const partition = partitionOf(tenant, account);
      let part = byPartition.get(partition);
      if (!part) byPartition.set(partition, (part = { hashes: [], values: [] }));
      part.hashes.push(accountHash(partition, tenant, account));
      part.values.push(`${unit} ${sequence}:${balance}`);
    }
    await Promise.all(
      [...byPartition].map(([partition, { hashes, values }]) => {
        const keys = [generationKey(partition), ...hashes];
        return this.scripts.balancesPut(keys.length, ...keys, ...values);
      }),
    );
  }

  /** All units of an account; or, when the cache does not know them all, a claim to `fill` with. */
  async get(tenant: number, account: string): Promise<UnitBalance[] | { claim: string }> {
    const partition = partitionOf(tenant, account);
    const fields = await this.scripts.balancesGet(
      generationKey(partition),
      accountHash(partition, tenant, account),
      randomUUID(),
      CLAIM_TTL_S,
    );
    const units: UnitBalance[] = [];
    let complete = false;
    let claim = '';
    for (let index = 0; index < fields.length; index += 2) {
      const [name, value] = [fields[index]!, fields[index + 1]!];
      if (name === '*') complete = true;
      else if (name === '?') claim = value;
      else if (name !== '#') units.push(unitBalance(name, value));
    }
    return complete ? units : { claim };
  }

  /** Stores what Postgres said after `get` gave this claim. */
  async fill(
    tenant: number,
    account: string,
    balances: readonly UnitBalance[],
    claim: string,
  ): Promise<void> {
    const partition = partitionOf(tenant, account);
    await this.scripts.balancesFill(
      generationKey(partition),
      accountHash(partition, tenant, account),
      claim,
      this.ttlS,
      ...balances.flatMap(({ unit, sequence, balance }) => [unit, sequence, balance]),
    );
  }

  /** Makes every cached balance obsolete: for when a write after a commit may have been lost. */
  async expireAll(): Promise<void> {
    const pipeline = this.redis.pipeline() as ChainableCommander & Expiry;
    for (let partition = 0; partition < PARTITIONS; partition++)
      pipeline.balancesExpire(generationKey(partition));
    const replies = await pipeline.exec();
    for (const [error] of replies ?? []) if (error) throw error;
  }
}

function unitBalance(unit: string, value: string): UnitBalance {
  const [sequence, balance] = value.split(':');
  return { unit, balance: Number(balance), sequence: Number(sequence) };
}

export function generationKey(partition: number): string {
  return `${hashTag(partition)}:balances:generation`;
}

function accountHash(partition: number, tenant: number, account: string): string {
  return `${hashTag(partition)}:balances:${tenant}:${account}`;
}
