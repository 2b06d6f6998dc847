-- Makes a version of terms the oldest that reservations may be decided by, as soon as it is stored:
-- a process that has not heard of it yet is told that its own is stale.
-- Takes: terms version. Keys: coupon, life. Gives: 1 where it is known now, else 0 (the version is
-- then read together with the counters). Safe to repeat: yes.
local known = redis.call('HGET', KEYS[1], 'version')
if known then
  if tonumber(ARGV[1]) > tonumber(known) then redis.call('HSET', KEYS[1], 'version', ARGV[1]) end
  return 1
end
if ARGV[1] == '1' or redis.call('GET', KEYS[2]) ~= 'without_history' then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'reserved', 0, 'redeemed', 0, 'budget_used', 0,
  'counted', 'all', 'moves', 0)
return 1
