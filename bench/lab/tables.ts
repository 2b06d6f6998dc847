// Other forms of the tables: keys, indexes, partitions, checks, the room left in pages, bodies.
import { ours } from './statements.ts';
import type { Variant } from './variant.ts';

/** Entries with other columns in front; partitions, index on time and policy as ours. */
function entriesWith(account: string, event: string, key = 'account, sequence, posted_at'): string {
  return `
    drop table entries;
    create table entries (
      account ${account} not null, sequence bigint not null, posted_at timestamptz not null,
      amount bigint not null, balance_after bigint not null, event ${event} not null,
      tenant_id int not null, primary key (${key})
    ) partition by range (posted_at);
    create index entries_by_time on entries using brin (posted_at) with (pages_per_range = 32);
    create table entries_now partition of entries for values from ('2020-01-01') to ('2100-01-01');
    call protect('entries');
    call protect('entries_now');
    grant select, insert on entries to tallyrace_app;`;
}

const renamed = [
  'entries (account_key, sequence, posted_at, amount, balance_after, event_key,',
  'entries (account, sequence, posted_at, amount, balance_after, event,',
] as const;
const accountNumbers = [
  ['v_sequence bigint[];', 'v_sequence bigint[];\n  v_account bigint[];'],
  ['returning b.account_key, b.balance,', 'returning b.account_key, b.id, b.balance,'],
  [
    /into v_balance, v_sequence from posted/,
    `, array_agg(p.id order by p.account_key)
    into v_balance, v_sequence, v_account from posted`,
  ],
  ['unnest(a_key, v_sequence,', 'unnest(v_account, v_sequence,'],
] as const;
const numbered = 'alter table balances add id bigint generated always as identity;';

/** Events by number would need an index of their own to be found; it is not counted here. */
export const ids: readonly Variant[] = [
  ours,
  {
    name: 'accounts by bigint',
    schema: numbered + entriesWith('bigint', 'uuid'),
    replace: [renamed, ...accountNumbers],
  },
  {
    name: 'events by bigint',
    schema: entriesWith('uuid', 'bigint'),
    replace: [renamed, ['o_key[e.event]', 'o_offset[e.event]']],
  },
  {
    name: 'both by bigint',
    schema: numbered + entriesWith('bigint', 'bigint'),
    replace: [renamed, ...accountNumbers, ['o_key[e.event]', 'o_offset[e.event]']],
  },
];

/** A key of two columns is unique in each month only; the sequence makes it unique in all. */
const keyByMonth = `
  alter table entries drop constraint entries_pkey;
  do $$ declare month regclass; begin
    for month in select inhrelid from pg_inherits where inhparent = 'entries'::regclass loop
      execute format('create unique index on %s (account_key, sequence)', month);
    end loop;
  end $$`;

function outcomePartitions(count: number): string {
  return `do $$ begin
    for i in 0..7 loop execute format('drop table outcomes_%s', i); end loop;
    for i in 0..${count - 1} loop
      execute format('create table outcomes_%s partition of outcomes
         for values with (modulus ${count}, remainder %s)', i, i);
      execute format('call protect(%L)', 'outcomes_' || i);
    end loop;
  end $$`;
}

export const indexes: readonly Variant[] = [
  ours,
  { name: 'entries: key without posted_at', schema: keyByMonth },
  { name: 'entries: no key', schema: 'alter table entries drop constraint entries_pkey' },
  { name: 'entries: no BRIN', schema: 'drop index entries_by_time' },
  { name: 'entries: B-tree on event', schema: 'create index on entries (event_key)' },
  { name: 'outcomes: no key', schema: 'alter table outcomes drop constraint outcomes_pkey' },
  { name: 'balances: no index by name', schema: 'drop index balances_by_account' },
];

/** What verification asks of the write: an index on the time of outcomes, and the time it has shut. */
export const verification: readonly Variant[] = [
  ours,
  {
    name: 'outcomes: no BRIN',
    schema: Array.from({ length: 8 }, (_, n) => `drop index outcomes_${n}_by_time`).join(';'),
  },
  {
    name: 'shut time not looked up',
    replace: [['greatest(now(), (select shut_until from verified_point))', 'now()']],
  },
];

export const partitions: readonly Variant[] = [
  ours,
  ...[1, 4, 16].map((count) => ({
    name: `outcomes in ${count}`,
    schema: outcomePartitions(count),
  })),
];

export const rows: readonly Variant[] = [
  ours,
  {
    name: 'no checks',
    schema: `alter table outcomes drop constraint refused_has_a_reason;
      alter table outcomes drop constraint outcomes_verdict_check;
      alter table balances drop constraint balance_in_range`,
  },
  { name: 'bodies uncompressed, out of line', schema: bodyStorage('external') },
  { name: 'bodies never out of line', schema: bodyStorage('plain') },
  {
    name: 'bodies in a table of their own',
    schema: `create table bodies (event_key uuid primary key, tenant_id int not null,
        body bytea not null);
      call protect('bodies'); grant select, insert on bodies to tallyrace_app;
      alter table outcomes alter body drop not null`,
    replace: [
      ['substring(o_bodies from o.body_start for o.body_length)', 'null'],
      [
        'if cardinality(a_key) = 0 then',
        `insert into bodies
  select b.key, b.tenant, substring(o_bodies from b.start for b.length)
  from (select unnest(o_key) as key, unnest(o_tenant) as tenant, unnest(o_body_start) as start,
               unnest(o_body_length) as length) b;
  if cardinality(a_key) = 0 then`,
      ],
    ],
  },
];

function bodyStorage(storage: string): string {
  return `alter table outcomes alter body set storage ${storage};
    do $$ begin for i in 0..7 loop
      execute format('alter table outcomes_%s alter body set storage ${storage}', i);
    end loop; end $$`;
}

/** Rewritten, so that the room is there from the start as it is in a table that grew so. */
function fillfactor(percent: number): string {
  return `create temporary table kept as table balances;
    truncate balances;
    alter table balances set (fillfactor = ${percent});
    insert into balances table kept;
    drop table kept`;
}

export const room: readonly Variant[] = [
  ours,
  ...[80, 90, 100].map((percent) => ({
    name: `balances: fillfactor ${percent}`,
    schema: fillfactor(percent),
  })),
];

/** Each turn begins with a checkpoint: the worst that whole pages in the WAL can cost. */
export const pages: readonly Variant[] = [
  ours,
  { name: 'compressed', settings: { wal_compression: 'on' } },
].map((variant) => ({ ...variant, beforeTurn: 'checkpoint' }));
