-- Says of a partition that its owner has in memory nothing that another reign, or this Redis before
-- it was emptied, has given out. Where the ledger has settled offsets that Redis does not know,
-- they are not given out again, and the life ends: the counters do not know them either.
-- opening.lua comes before it.
-- Takes: the reign that was looked at, the settled offset. Keys: life, drained, offset.
-- Gives: how many settled offsets Redis had forgotten; -1 where the reign is another one by now.
-- Safe to repeat: yes.
if reign ~= ARGV[1] then return -1 end
local known, settled = tonumber(redis.call('GET', KEYS[3]) or 0), tonumber(ARGV[2])
if known < settled then
  redis.call('SET', KEYS[3], ARGV[2])
  redis.call('DEL', KEYS[1])
end
redis.call('SET', KEYS[2], reign)
return math.max(0, settled - known)
