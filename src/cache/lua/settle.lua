-- Commits or releases a redemption and appends the event of it.
-- Takes: codes, target status, why (released, expired, replaced, or committed), customer, blob, how
--   long to keep a settled redemption and a settled order in ms; per code: discount.
-- Keys: stream, its offset, redemption, expiries; per code: coupon, customers, order, changes,
--   counter of changes.
-- Gives: {'settled', offset}, {'unchanged', position} where it is already so (or has not expired),
--   {'missing'}, {'refused', reason}, {'cold', i} where the code's counters are not here.
-- Safe to repeat: yes.
local FIXED_KEYS, CODE_KEYS, FIXED_ARGS = 4, 5, 7
local codes, target, why, customer = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]

local known = redis.call('HMGET', KEYS[3], 'status', 'expires', 'position', 'why')
local status = known[1]
if not status then
  redis.call('ZREM', KEYS[4], KEYS[3])
  return { 'missing' }
end
if status == target then return { 'unchanged', known[3] } end

local time = redis.call('TIME')
local expired = time[1] * 1000 + math.floor(time[2] / 1000) >= tonumber(known[2])
if target == 'committed' then
  if status == 'released' then
    return { 'refused', known[4] == 'expired' and 'expired' or 'already_released' }
  end
  if expired then return { 'refused', 'expired' } end
elseif why ~= 'released' and status ~= 'reserved' or why == 'expired' and not expired then
  if status ~= 'reserved' then redis.call('ZREM', KEYS[4], KEYS[3]) end
  return { 'unchanged', known[3] }
end

for i = 0, codes - 1 do
  if redis.call('EXISTS', KEYS[FIXED_KEYS + i * CODE_KEYS + 1]) == 0 then
    return { 'cold', i + 1 }
  end
end

local function release(coupon, customers, order, discount)
  redis.call('HINCRBY', coupon, 'budget_used', 0 - discount)
  if redis.call('HEXISTS', customers, customer) == 1 then
    local uses = redis.call('HINCRBY', customers, customer, -1)
    if uses <= 0 and redis.call('HGET', coupon, 'counted') == 'all' then
      redis.call('HDEL', customers, customer)
    end
  else
    -- Whoever is looking this customer's uses up must look again.
    redis.call('HINCRBY', coupon, 'moves', 1)
  end
  if redis.call('GET', order) == KEYS[3] then redis.call('DEL', order) end
end

local offset = redis.call('INCRBY', KEYS[2], 1)
redis.call('XADD', KEYS[1], '*', 'o', offset, 'n', 1, 'b', ARGV[5])
for i = 0, codes - 1 do
  local k = FIXED_KEYS + i * CODE_KEYS
  local coupon, customers, order = KEYS[k + 1], KEYS[k + 2], KEYS[k + 3]
  redis.call('HINCRBY', coupon, status == 'reserved' and 'reserved' or 'redeemed', -1)
  if target == 'committed' then
    redis.call('HINCRBY', coupon, 'redeemed', 1)
    redis.call('PEXPIRE', order, ARGV[7])
  else
    release(coupon, customers, order, tonumber(ARGV[FIXED_ARGS + 1 + i]))
    local change = redis.call('INCR', KEYS[k + 5])
    redis.call('ZADD', KEYS[k + 4], change, coupon, change, coupon .. ' ' .. customer)
  end
end
redis.call('HSET', KEYS[3], 'status', target, 'position', offset, 'why', why)
redis.call('PEXPIRE', KEYS[3], ARGV[6])
redis.call('ZREM', KEYS[4], KEYS[3])
return { 'settled', offset }
