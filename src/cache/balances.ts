// The balance cache: one hash per account name, a field per unit holding "<sequence>:<balance>".
// Writers set absolute values with the sequence as version, so that a late or repeated write cannot
// turn a balance back. The field "*" says that the hash names every unit of the account.
// Invariant: a cached balance is never newer than the ledger, and older only until the write after
// its commit arrives; when such a write may have been lost, the generation changes and all expire.
import type { Redis } from 'ioredis';
import { PARTITIONS, hashTag, partitionOf } from '../stream/topology.ts';

/** Takes: generation key, account hashes; ttl s, then per field: hash index, unit, sequence,
 * balance.
 * Safe to repeat: yes, older sequences lose. */
const PUT = `
local generation = redis.call('GET', KEYS[1]) or '0'
for i = 2, #ARGV, 4 do
  local key = KEYS[1 + tonumber(ARGV[i])]
  if redis.call('HGET', key, '#') ~= generation then
    redis.call('DEL', key)
    redis.call('HSET', key, '#', generation)
  end
  local held = redis.call('HGET', key, ARGV[i + 1])
  if not held or tonumber(string.match(held, '^%d+')) < tonumber(ARGV[i + 2]) then
    redis.call('HSET', key, ARGV[i + 1], ARGV[i + 2] .. ':' .. ARGV[i + 3])
  end
  redis.call('EXPIRE', key, ARGV[1])
end
return 1
`;

/** Takes: generation key, account hash. Gives: the generation, and the hash's fields and values. */
const GET = `
local generation = redis.call('GET', KEYS[1]) or '0'
if redis.call('HGET', KEYS[2], '#') ~= generation then return {generation} end
return {generation, redis.call('HGETALL', KEYS[2])}
`;

/** Takes: generation key, account hash; the generation that was read before the balances were, ttl.
 * Marks the hash complete, unless the generation has changed since. */
const COMPLETE = `
if (redis.call('GET', KEYS[1]) or '0') ~= ARGV[1] then return 0 end
if redis.call('HGET', KEYS[2], '#') ~= ARGV[1] then
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[2], '#', ARGV[1])
end
redis.call('HSET', KEYS[2], '*', '1')
redis.call('EXPIRE', KEYS[2], ARGV[2])
return 1
`;

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
  balancesPut(keys: number, ...args: (string | number)[]): Promise<number>;
  balancesGet(
    generation: string,
    account: string,
  ): Promise<[generation: string, fields?: string[]]>;
  balancesComplete(
    generation: string,
    account: string,
    seen: string,
    ttlS: number,
  ): Promise<number>;
}

export class BalanceCache {
  private readonly scripts: Redis & Scripts;

  constructor(
    private readonly redis: Redis,
    private readonly ttlS: number,
  ) {
    redis.defineCommand('balancesPut', { lua: PUT });
    redis.defineCommand('balancesGet', { numberOfKeys: 2, lua: GET });
    redis.defineCommand('balancesComplete', { numberOfKeys: 2, lua: COMPLETE });
    this.scripts = redis as Redis & Scripts;
  }

  /** One script per partition touched. Rejects when any may not have arrived. */
  async put(changes: readonly BalanceChange[]): Promise<void> {
    const byPartition = new Map<number, BalanceChange[]>();
    for (const change of changes) {
      const partition = partitionOf(change.tenant, change.account);
      const list = byPartition.get(partition);
      if (list) list.push(change);
      else byPartition.set(partition, [change]);
    }
    await Promise.all([...byPartition].map(([partition, list]) => this.putIn(partition, list)));
  }

  /** All units of an account; or, when the cache does not know them all, the generation to fill. */
  async get(tenant: number, account: string): Promise<UnitBalance[] | { generation: string }> {
    const partition = partitionOf(tenant, account);
    const [generation, fields = []] = await this.scripts.balancesGet(
      generationKey(partition),
      accountHash(partition, tenant, account),
    );
    const units: UnitBalance[] = [];
    let complete = false;
    for (let index = 0; index < fields.length; index += 2) {
      const [name, value] = [fields[index]!, fields[index + 1]!];
      if (name === '*') complete = true;
      if (name === '*' || name === '#') continue;
      const [sequence, balance] = value.split(':');
      units.push({ unit: name, balance: Number(balance), sequence: Number(sequence) });
    }
    return complete ? units : { generation };
  }

  /** Stores what Postgres said after `get` gave this generation. */
  async fill(
    tenant: number,
    account: string,
    balances: readonly UnitBalance[],
    generation: string,
  ): Promise<void> {
    const partition = partitionOf(tenant, account);
    await this.putIn(
      partition,
      balances.map((balance) => ({ ...balance, tenant, account })),
    );
    await this.scripts.balancesComplete(
      generationKey(partition),
      accountHash(partition, tenant, account),
      generation,
      this.ttlS,
    );
  }

  /** Makes every cached balance obsolete: for when a write after a commit may have been lost. */
  async expireAll(): Promise<void> {
    const pipeline = this.redis.pipeline();
    for (let partition = 0; partition < PARTITIONS; partition++)
      pipeline.incr(generationKey(partition));
    const replies = await pipeline.exec();
    for (const [error] of replies ?? []) if (error) throw error;
  }

  private async putIn(partition: number, changes: readonly BalanceChange[]): Promise<void> {
    if (changes.length === 0) return;
    const hashes = new Map<string, number>();
    const args: (string | number)[] = [];
    for (const { tenant, account, unit, sequence, balance } of changes) {
      const hash = accountHash(partition, tenant, account);
      let index = hashes.get(hash);
      if (index === undefined) {
        index = hashes.size + 1;
        hashes.set(hash, index);
      }
      args.push(index, unit, sequence, balance);
    }
    const keys = [generationKey(partition), ...hashes.keys()];
    await this.scripts.balancesPut(keys.length, ...keys, this.ttlS, ...args);
  }
}

function generationKey(partition: number): string {
  return `${hashTag(partition)}:balances:generation`;
}

function accountHash(partition: number, tenant: number, account: string): string {
  return `${hashTag(partition)}:balances:${tenant}:${account}`;
}
