-- Reserves (or reserves and commits) a redemption of one code or a stack, and appends its events:
-- decision and record are one step, all codes or none.
-- Takes: codes, status, expires_at ms, customer, record, blob, events in the blob, how long to keep
--   a settled redemption and a settled order in ms; per code: terms version, global limit, limit
--   per customer, budget, discount, gift (1 or 0), discount wanted of a gift. A limit of -1: none.
-- Keys: stream, its offset, redemption, expiries; per code: coupon, customers, order, life,
--   changes, counter of changes.
-- Gives: {'reserved', offset, per code: uses, budget used} or what is in the way:
--   {'held', redemption key} by its own order, {'closed', i} Redis is new here and not opened yet,
--   {'cold', i} the code's counters are not here, {'stale', i} newer terms are known,
--   {'customer_cold', i, moves}, {'balance', i, left} a gift holds another amount than expected,
--   {'refused', i, reason}.
-- Safe to repeat: yes, its own order then holds it.
local FIXED_KEYS, CODE_KEYS, FIXED_ARGS, CODE_ARGS = 4, 6, 9, 7
local codes = tonumber(ARGV[1])
local status, customer = ARGV[2], ARGV[4]

for i = 0, codes - 1 do
  local held = redis.call('GET', KEYS[FIXED_KEYS + i * CODE_KEYS + 3])
  if held and redis.call('HGET', held, 'status') ~= 'released' then return { 'held', held } end
end

local function load(i)
  local k, a = FIXED_KEYS + i * CODE_KEYS, FIXED_ARGS + i * CODE_ARGS
  local coupon = {
    key = KEYS[k + 1], customers = KEYS[k + 2], order = KEYS[k + 3],
    changes = KEYS[k + 5], changed = KEYS[k + 6],
    version = tonumber(ARGV[a + 1]), global = tonumber(ARGV[a + 2]),
    per_customer = tonumber(ARGV[a + 3]), budget = tonumber(ARGV[a + 4]),
    discount = tonumber(ARGV[a + 5]), gift = ARGV[a + 6] == '1', wanted = tonumber(ARGV[a + 7]),
  }
  local known = redis.call('HMGET', coupon.key,
    'version', 'reserved', 'redeemed', 'budget_used', 'counted', 'moves')
  coupon.known = known[1] and true
  if not known[1] then
    local life = redis.call('GET', KEYS[k + 4])
    if not life then return nil, { 'closed', i + 1 } end
    -- Redemptions were recorded before this Redis began: this code may have some.
    if life ~= 'without_history' then return nil, { 'cold', i + 1 } end
    known = { coupon.version, 0, 0, 0, 'all', 0 }
  end
  coupon.reserved, coupon.redeemed = tonumber(known[2]), tonumber(known[3])
  coupon.budget_used, coupon.counted = tonumber(known[4]), known[5]
  coupon.moves = tonumber(known[6])
  if coupon.version < tonumber(known[1]) then return nil, { 'stale', i + 1 } end
  return coupon, nil
end

-- Customers are counted only while a limit asks for it. `all`: who has no count has no use.
-- `none`: nobody is counted. `some`: who has no count must be looked up in the ledger's rows.
local function count_by(coupon, counted)
  coupon.counted = counted
  -- At once, since this reservation may yet be refused; a code not known yet has nothing to keep.
  if coupon.known then redis.call('HSET', coupon.key, 'counted', counted) end
end

local function customer_uses(coupon, i)
  if coupon.per_customer < 0 then
    if coupon.counted ~= 'none' then
      redis.call('UNLINK', coupon.customers)
      count_by(coupon, 'none')
    end
    return 0, nil
  end
  if coupon.counted == 'none' then count_by(coupon, 'some') end
  local uses = redis.call('HGET', coupon.customers, customer)
  if uses then return tonumber(uses), nil end
  if coupon.counted == 'some' then return 0, { 'customer_cold', i + 1, coupon.moves } end
  return 0, nil
end

local function refusal(coupon, i)
  local function refused(reason) return { 'refused', i + 1, reason } end
  if coupon.global >= 0 and coupon.reserved + coupon.redeemed >= coupon.global then
    local held = coupon.global == 1 and coupon.reserved == 1
    return refused(held and 'reserved_elsewhere' or 'limit_reached')
  end
  local uses, cold = customer_uses(coupon, i)
  if cold then return cold end
  if coupon.per_customer >= 0 and uses >= coupon.per_customer then
    return refused('customer_limit_reached')
  end
  if coupon.budget < 0 then return nil end
  local left = coupon.budget - coupon.budget_used
  if not coupon.gift then
    return coupon.discount > left and refused('budget_exhausted') or nil
  end
  if left <= 0 then return refused('insufficient_balance') end
  return math.min(left, coupon.wanted) ~= coupon.discount and { 'balance', i + 1, left } or nil
end

local coupons = {}
for i = 0, codes - 1 do
  local coupon, obstacle = load(i)
  obstacle = obstacle or refusal(coupon, i)
  if obstacle then return obstacle end
  coupons[i + 1] = coupon
end

local events = tonumber(ARGV[7])
local last = redis.call('INCRBY', KEYS[2], events)
redis.call('XADD', KEYS[1], '*', 'o', last - events + 1, 'n', events, 'b', ARGV[6])

redis.call('HSET', KEYS[3], 'status', status, 'expires', ARGV[3], 'record', ARGV[5],
  'position', last)
if status == 'reserved' then
  redis.call('ZADD', KEYS[4], ARGV[3], KEYS[3])
else
  redis.call('PEXPIRE', KEYS[3], ARGV[8])
end

local reply = { 'reserved', last }
for _, coupon in ipairs(coupons) do
  if status == 'reserved' then
    coupon.reserved = coupon.reserved + 1
    redis.call('SET', coupon.order, KEYS[3])
  else
    coupon.redeemed = coupon.redeemed + 1
    redis.call('SET', coupon.order, KEYS[3], 'PX', ARGV[9])
  end
  coupon.budget_used = coupon.budget_used + coupon.discount
  redis.call('HSET', coupon.key, 'version', coupon.version, 'reserved', coupon.reserved,
    'redeemed', coupon.redeemed, 'budget_used', coupon.budget_used, 'counted', coupon.counted,
    'moves', coupon.moves)
  if coupon.per_customer >= 0 then redis.call('HINCRBY', coupon.customers, customer, 1) end
  -- Limited codes are announced to the checks of every process (see coupon-usage.ts).
  if coupon.global >= 0 or coupon.budget >= 0 or coupon.per_customer >= 0 then
    local change = redis.call('INCR', coupon.changed)
    redis.call('ZADD', coupon.changes, change, coupon.key)
    if coupon.per_customer >= 0 then
      redis.call('ZADD', coupon.changes, change, coupon.key .. ' ' .. customer)
    end
    if change % 256 == 0 then redis.call('ZREMRANGEBYRANK', coupon.changes, 0, -20001) end
  end
  reply[#reply + 1] = coupon.reserved + coupon.redeemed
  reply[#reply + 1] = coupon.budget_used
end
return reply
