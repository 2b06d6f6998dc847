-- Reservations of a partition whose time is up, oldest first.
-- Takes: how many at most. Keys: expiries. Gives: redemption key and redemption as text (see
-- batch.lua), alternating; null where it is gone. Safe to repeat: it only reads.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local keys = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
if #keys == 0 then return {} end
local reply = {}
for i, redemption in ipairs(redis.call('MGET', unpack(keys))) do
  reply[i * 2 - 1], reply[i * 2] = keys[i], redemption
end
return reply
