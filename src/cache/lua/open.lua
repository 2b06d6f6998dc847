-- Opens all partitions for this reign, when all are drained. opening.lua comes before it.
-- Takes: the new life, the life that goes on ('' where the counters are rebuilt:
--   then what is reserved by the rows is asleep until it is put back). What was given out stays
--   known to the next redemption; the offset itself moves only together with an entry, or the
--   worker would wait for events that will never come.
-- Keys: per partition: life, drained, offset, asleep, given. Gives: 1 where it opened them, else 0.
-- Safe to repeat: the second time there is nothing to open.
if not is_open(ARGV[1]) then return 0 end
for i = 1, #KEYS, 5 do
  if redis.call('GET', KEYS[i + 1]) ~= reign then return 0 end
  if ARGV[2] ~= '' and redis.call('GET', KEYS[i]) ~= ARGV[2] then return 0 end
end
for i = 1, #KEYS, 5 do
  redis.call('SET', KEYS[i], ARGV[1])
  redis.call('DEL', KEYS[i + 1])
  if ARGV[2] == '' then redis.call('SET', KEYS[i + 3], 1) end
end
return 1
