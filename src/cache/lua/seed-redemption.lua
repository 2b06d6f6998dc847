-- Puts a redemption in place as the ledger's rows have it, unless it is here already.
-- Takes: status, expires_at ms, the redemption as text (see batch.lua), how long to keep a settled
--   redemption and a settled order in ms. Keys: redemption, expiries; per code: order.
-- Gives: 1 where it was put, else 0. Safe to repeat: yes.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
if ARGV[1] == 'reserved' then
  redis.call('SET', KEYS[1], ARGV[3])
  redis.call('ZADD', KEYS[2], ARGV[2], KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
end
for i = 3, #KEYS do
  if ARGV[1] == 'reserved' then
    redis.call('SET', KEYS[i], KEYS[1])
  elseif ARGV[1] == 'committed' then
    redis.call('SET', KEYS[i], KEYS[1], 'NX', 'PX', ARGV[5])
  end
end
return 1
