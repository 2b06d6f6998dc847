-- Makes a version of terms the oldest that reservations may be decided by, as soon as it is stored:
-- a process that has not heard of it yet is told that its own is stale. Of a code whose counters
-- are not here the version is kept for when they are.
-- Takes: terms version. Keys: coupon. Gives: 1. Safe to repeat: yes.
local known = tonumber(redis.call('HGET', KEYS[1], 'version') or 0)
if tonumber(ARGV[1]) > known then redis.call('HSET', KEYS[1], 'version', ARGV[1]) end
return 1
