-- Says which offsets a process was given last, while it waits for the counters to be opened: what
-- Redis has forgotten of them is not given out again, so that the ledger can count what is lost.
-- Takes: offsets. Keys: of the given ones, per partition. Gives: nothing. Safe to repeat: yes.
for i, key in ipairs(KEYS) do
  if tonumber(ARGV[i]) > tonumber(redis.call('GET', key) or 0) then
    redis.call('SET', key, ARGV[i])
  end
end
