-- Puts a code's counters in place as the ledger's rows have them, unless they are here already or
-- the rows were read in another life. opening.lua comes before it.
-- Takes: the life, terms version, reserved, redeemed, budget used, counted (see reserve.lua).
-- Keys: life, coupon. Gives: 1 where they were put, else 0. Safe to repeat: yes.
if redis.call('GET', KEYS[1]) ~= ARGV[1] or not is_open(ARGV[1]) then return 0 end
if redis.call('HEXISTS', KEYS[2], 'counted') == 1 then return 0 end
local known = tonumber(redis.call('HGET', KEYS[2], 'version') or 0)
redis.call('HSET', KEYS[2], 'version', math.max(known, tonumber(ARGV[2])), 'reserved', ARGV[3],
  'redeemed', ARGV[4], 'budget_used', ARGV[5], 'counted', ARGV[6], 'moves', 0)
return 1
