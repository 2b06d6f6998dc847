-- Puts a code's counters in place as the ledger's rows have them, unless they are here already.
-- Takes: terms version, reserved, redeemed, budget used, counted (see reserve.lua). Keys: coupon.
-- Gives: 1 where they were put, else 0. Safe to repeat: yes.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'reserved', ARGV[2], 'redeemed', ARGV[3],
  'budget_used', ARGV[4], 'counted', ARGV[5], 'moves', 0)
return 1
