-- Puts one customer's uses of a code in place, unless they are here or a release came in between.
-- Takes: customer, uses, the moves under which they were counted. Keys: coupon, customers.
-- Gives: 1 where the count is in place, 0 where it must be taken again. Safe to repeat: yes.
if redis.call('HGET', KEYS[1], 'moves') ~= ARGV[3] then return 0 end
redis.call('HSETNX', KEYS[2], ARGV[1], ARGV[2])
return 1
