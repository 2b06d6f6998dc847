-- Adds payments to what a customer has paid, or takes them out, where it is kept at all.
-- Takes: how many are kept; then for each payment when it was initiated ("" to take it out) and its
-- member. Keys: the customer's. Gives: 1 where it is kept. Safe to repeat: yes.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
for i = 2, #ARGV, 2 do
  if ARGV[i] == '' then redis.call('ZREM', KEYS[1], ARGV[i + 1])
  else redis.call('ZADD', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
-- The marks come last and are not counted.
local marks = redis.call('ZCOUNT', KEYS[1], '+inf', '+inf')
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -(tonumber(ARGV[1]) + marks + 1))
return 1
