-- Counts a payment by everything it is counted by, and gives the counts with it in, in one step.
-- Takes: the payment; how many of the keys are counted; how much a set holds at most, by payments
-- and by what they were seen with; then for each pair its member.
-- Keys: those counted (the customer's first), then pairs, then what the customer has paid.
-- Gives: for each counted key how many within a minute, an hour, a day; for each pair how many
-- within a day; then the members of what was paid.
-- Safe to repeat: a payment is counted once; asked again, its counts are those of its first time.
local MINUTE, HOUR, DAY = 60000000, 3600000000, 86400000000
local DAY_MS, KEPT_MS = 86400000, 90000000
local payment, counted = ARGV[1], tonumber(ARGV[2])
local countMax, pairMax = tonumber(ARGV[3]), tonumber(ARGV[4])
local paid = #KEYS
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local reply = {}

local function within(key, span)
  return redis.call('ZCOUNT', key, string.format('(%.0f', now - span), now)
end

-- What is older than a day goes, and beyond the most that is held the oldest.
local function tidy(key, most)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - DAY)
  local held = redis.call('ZCARD', key)
  if held > most then redis.call('ZREMRANGEBYRANK', key, 0, held - most - 1) end
  -- A key that is used has its time set anew once an hour, not each time: that goes to the log.
  if redis.call('PTTL', key) < DAY_MS then redis.call('PEXPIRE', key, KEPT_MS) end
  return math.min(held, most)
end

for i = 1, counted do
  local key = KEYS[i]
  if redis.call('ZADD', key, 'NX', now, payment) == 0 and i == 1 then
    now = tonumber(redis.call('ZSCORE', key, payment))
  end
  local alone = tidy(key, countMax) == 1
  reply[#reply + 1] = alone and 1 or within(key, MINUTE)
  reply[#reply + 1] = alone and 1 or within(key, HOUR)
  reply[#reply + 1] = alone and 1 or within(key, DAY)
end
for i = counted + 1, paid - 1 do
  redis.call('ZADD', KEYS[i], 'GT', now, ARGV[4 + i - counted])
  reply[#reply + 1] = tidy(KEYS[i], pairMax)
end
local members = redis.call('ZRANGE', KEYS[paid], 0, -1)
-- Begun, and not read yet: from now on what is paid is added, so that whoever reads misses nothing.
if #members == 0 then
  redis.call('ZADD', KEYS[paid], '+inf', '?')
  redis.call('PEXPIRE', KEYS[paid], DAY_MS)
end
for _, member in ipairs(members) do reply[#reply + 1] = member end
return reply
