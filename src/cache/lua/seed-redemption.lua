-- Puts a redemption in place as the ledger's rows have it, unless it is here already or the rows
-- were read in another life. opening.lua comes before it.
-- Takes: the life, status, expires_at ms, the redemption as text (see batch.lua), how long to keep
--   a settled redemption and a settled order in ms.
-- Keys: life, redemption, expiries; per code: order.
-- Gives: 1 where it was put, else 0. Safe to repeat: yes.
if redis.call('GET', KEYS[1]) ~= ARGV[1] or not is_open(ARGV[1]) then return 0 end
local redemption, status = KEYS[2], ARGV[2]
if redis.call('EXISTS', redemption) == 1 then return 0 end
if status == 'reserved' then
  redis.call('SET', redemption, ARGV[4])
  redis.call('ZADD', KEYS[3], ARGV[3], redemption)
else
  redis.call('SET', redemption, ARGV[4], 'PX', ARGV[5])
end
for i = 4, #KEYS do
  if status == 'reserved' then
    redis.call('SET', KEYS[i], redemption)
  elseif status == 'committed' then
    redis.call('SET', KEYS[i], redemption, 'NX', 'PX', ARGV[6])
  end
end
return 1
