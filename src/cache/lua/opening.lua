-- What the scripts of redemptions begin with: whether their counters may be used now. Every reign
-- of a Redis (from its start, or from its promotion, to its end) has an identity of its own, and
-- the counters are opened for one reign: a Redis that was restarted, failed over to or restored
-- may have forgotten what the ledger knows, and is asked first (see redemption-life.ts).
-- A life is: with_history or without_history, the reign it was opened in, a name of its own.
local reign = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
local function is_open(life)
  return life and string.match(life, '^%S+ (%x+) ') == reign
end
