-- Puts one customer's uses of a code in place, unless they are here, something came in between, or
-- the rows were read in another life. opening.lua comes before it.
-- Takes: the life, customer, uses, the moves under which they were counted. Keys: life, coupon,
--   customers. Gives: 1 where the count is in place, 0 where it must be taken again.
-- Safe to repeat: yes.
if redis.call('GET', KEYS[1]) ~= ARGV[1] or not is_open(ARGV[1]) then return 0 end
if redis.call('HGET', KEYS[2], 'moves') ~= ARGV[4] then return 0 end
redis.call('HSETNX', KEYS[3], ARGV[2], ARGV[3])
return 1
