-- Where the lives of all partitions stand. opening.lua comes before it.
-- Keys: per partition: life, drained, offset, asleep, given.
-- Gives: the reign, then the values of the keys, null where there is none.
-- Safe to repeat: it only reads.
return { reign, redis.call('MGET', unpack(KEYS)) }
