-- Reservations of a partition whose time is up, oldest first.
-- Takes: how many at most. Keys: expiries. Gives: redemption key and record, alternating; the
-- record is null where the redemption is gone. Safe to repeat: it only reads.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local reply = {}
for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  reply[#reply + 1] = key
  reply[#reply + 1] = redis.call('HGET', key, 'record')
end
return reply
