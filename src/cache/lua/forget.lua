-- Forgets counters, customers, orders and redemptions, a page at a time, while nobody may use them.
-- Streams, offsets and answers stay. opening.lua comes before it.
-- Takes: cursor, about how many keys to look at. Keys: the lives of all partitions.
-- Gives: the next cursor, '0' at the end, '' where a partition is open. Safe to repeat: yes.
for _, life in ipairs(redis.call('MGET', unpack(KEYS))) do
  if is_open(life) then return '' end
end
local forgotten = { expiries = true, changes = true, changed = true }
local page = redis.call('SCAN', ARGV[1], 'MATCH', '{p*', 'COUNT', ARGV[2])
for _, key in ipairs(page[2]) do
  local word, part = string.match(key, '^{p%d+}:(%l+):(%l*)')
  if word == 'coupon' or word == 'redemption' or word == 'coupons' and forgotten[part] then
    redis.call('UNLINK', key)
  end
end
return page[1]
