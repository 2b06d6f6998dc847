-- Counts a payment by everything it is counted by, and gives the counts with it in, in one step.
-- Takes: the payment; how many of the keys are counted; how much a set holds at most, by payments
-- and by what they were seen with; then for each pair its member.
-- Keys: those counted (the customer's first), then pairs, then what the customer has paid.
-- Gives: 1 where the payment was counted before; for each counted key how many within a minute, an
-- hour, a day; for each pair how many within a day; then the members of what was paid.
-- Safe to repeat: a payment is counted once; asked again, its counts are those of its first time.
local MINUTE, HOUR, DAY = 60000000, 3600000000, 86400000000
local DAY_MS = 86400000
local payment, counted = ARGV[1], tonumber(ARGV[2])
local countMax, pairMax = tonumber(ARGV[3]), tonumber(ARGV[4])
local paid = #KEYS
local time = redis.call('TIME')
local reply = {0}

-- As texts, made once: Redis would make one of a number at each call, for more than the call.
local now, minute, hour, day, dayAgo
local function setTime(us)
  now = string.format('%.0f', us)
  minute, hour = string.format('(%.0f', us - MINUTE), string.format('(%.0f', us - HOUR)
  dayAgo = string.format('%.0f', us - DAY)
  day = '(' .. dayAgo
end
setTime(time[1] * 1000000 + time[2])

-- What is older than a day goes, and the oldest where a tenth too many are held. Done at a key's
-- first payment and whenever one of its payments has grown old, so that a key outlives its newest
-- by a day: what is added between is less than a day younger than what grows old next.
local function tidy(key, most, held)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', dayAgo)
  if held > most then redis.call('ZREMRANGEBYRANK', key, 0, -most - 1) end
  redis.call('PEXPIRE', key, 2 * DAY_MS)
end

for i = 1, counted do
  local key = KEYS[i]
  if redis.call('ZADD', key, 'NX', now, payment) == 0 and i == 1 then
    reply[1] = 1
    setTime(tonumber(redis.call('ZSCORE', key, payment)))
  end
  local held = redis.call('ZCARD', key)
  local inDay = held == 1 and 1 or redis.call('ZCOUNT', key, day, now)
  local inHour = inDay == 1 and 1 or redis.call('ZCOUNT', key, hour, now)
  local inMinute = inHour == 1 and 1 or redis.call('ZCOUNT', key, minute, now)
  reply[#reply + 1] = math.min(inMinute, countMax)
  reply[#reply + 1] = math.min(inHour, countMax)
  reply[#reply + 1] = math.min(inDay, countMax)
  if held == 1 or held > inDay or held > countMax * 1.1 then tidy(key, countMax, held) end
end
for i = counted + 1, paid - 1 do
  local key = KEYS[i]
  local isNew = redis.call('ZADD', key, 'GT', now, ARGV[4 + i - counted]) == 1
  local held = redis.call('ZCARD', key)
  local inDay = held == 1 and 1 or redis.call('ZCOUNT', key, day, now)
  reply[#reply + 1] = math.min(inDay, pairMax)
  -- Its members grow young again, so nothing may grow old for long: its time is looked at.
  if isNew or held > inDay or redis.call('PTTL', key) < DAY_MS then tidy(key, pairMax, held) end
end
local members = redis.call('ZRANGE', KEYS[paid], 0, -1)
-- Begun, and not read yet: from now on what is paid is added, so that whoever reads misses nothing.
if #members == 0 then
  redis.call('ZADD', KEYS[paid], '+inf', '?')
  redis.call('PEXPIRE', KEYS[paid], DAY_MS)
end
for _, member in ipairs(members) do reply[#reply + 1] = member end
return reply
