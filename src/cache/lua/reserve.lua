-- Reserves (or reserves and commits) redemptions, each of one code or a stack, keeps the answer
-- under the request's idempotency key, and appends the events: decision and record are one step,
-- all codes of a redemption or none. batch.lua comes before it.
-- An item: (events, bytes,) idempotency slot or '', text of the answer before and after the offset,
--   redemption, status, expires_at ms, customer, record, codes. A code: coupon, customers, order,
--   partition, terms version, global limit, limit per customer, budget, discount, gift (1 or 0),
--   discount wanted of a gift. A limit of -1: none.
-- Takes further: how long to keep a settled redemption, a settled order and an answer, in ms.
-- Gives for each item: {'reserved', offset, per code: uses, budget used} or what is in the way:
--   {'answered', answer} by its idempotency key, {'held', redemption key} by its own order,
--   {'closed'} the counters may not be used yet, {'cold', i} the code's are not here, {'stale', i}
--   newer terms are known, {'customer_cold', i, moves}, {'balance', i, left} a gift holds another
--   amount than expected, {'refused', i, reason}.
-- Safe to repeat: yes, its own answer or order then holds it.
local settled_memory, order_memory, answer_memory = ARGV[3], ARGV[4], ARGV[5]

-- What slots and orders hold: as Redis has it, then as items of this batch change it.
local held = {}
local function look_up()
  local names = {}
  for _, item in ipairs(items) do
    if item[3] ~= '' then names[#names + 1] = item[3] end
    for _, code in ipairs(item[11]) do names[#names + 1] = code[3] end
  end
  for i, value in ipairs(redis.call('MGET', unpack(names))) do held[names[i]] = value end
end

local taken = {}
local function is_released(redemption)
  if taken[redemption] then return false end
  local state = redemption_of(redis.call('GET', redemption))
  return state and state.status == 'released'
end

local function load(code, i)
  local key, version, place = code[1], code[5], places[code[4]]
  local coupon = coupon_at(key)
  if not coupon.counted then
    -- Redemptions were recorded before this Redis began: this code may have some.
    if not place.is_new then return nil, { 'cold', i } end
    coupon.version = coupon.version or version
    coupon.reserved, coupon.redeemed, coupon.budget_used = 0, 0, 0
    coupon.counted, coupon.moves = 'all', 0
  end
  if version < coupon.version then return nil, { 'stale', i } end
  return coupon, nil
end

-- Customers are counted only while a limit asks for it. `all`: who has no count has no use.
-- `none`: nobody is counted. `some`: who has no count must be looked up in the ledger's rows.
-- Written at once and before counts go, since this reservation may yet be refused; a code that
-- Redis does not have has nothing to keep. Who looks up a customer meanwhile must look again.
local function count_by(coupon, key, counted)
  coupon.counted, coupon.customer_uses, coupon.moves = counted, {}, coupon.moves + 1
  if not coupon.warm then return end
  redis.call('HSET', key, 'counted', counted, 'moves', whole(coupon.moves))
  coupon.known_moves = coupon.moves
end

local function customer_uses(coupon, code, customer, i)
  local key, customers, limit = code[1], code[2], code[7]
  if limit < 0 then
    if coupon.counted ~= 'none' then
      count_by(coupon, key, 'none')
      redis.call('UNLINK', customers)
    end
    return 0, nil
  end
  if coupon.counted == 'none' then count_by(coupon, key, 'some') end
  local uses = coupon.customer_uses[customer] or redis.call('HGET', customers, customer)
  if not uses and coupon.counted == 'some' then
    return 0, { 'customer_cold', i, coupon.moves }
  end
  coupon.customer_uses[customer] = tonumber(uses or 0)
  return coupon.customer_uses[customer], nil
end

local function refusal(coupon, code, customer, i)
  local global, per_customer, budget, discount = code[6], code[7], code[8], code[9]
  local function refused(reason) return { 'refused', i, reason } end
  if global >= 0 and coupon.reserved + coupon.redeemed >= global then
    local elsewhere = global == 1 and coupon.reserved == 1
    return refused(elsewhere and 'reserved_elsewhere' or 'limit_reached')
  end
  local uses, cold = customer_uses(coupon, code, customer, i)
  if cold then return cold end
  if per_customer >= 0 and uses >= per_customer then return refused('customer_limit_reached') end
  if budget < 0 then return nil end
  local left = budget - coupon.budget_used
  if code[10] == 0 then return discount > left and refused('budget_exhausted') or nil end
  if left <= 0 then return refused('insufficient_balance') end
  return math.min(left, code[11]) ~= discount and { 'balance', i, left } or nil
end

local function decide(item)
  local slot, customer, codes = item[3], item[9], item[11]
  if slot ~= '' and held[slot] then return { 'answered', held[slot] } end
  if closed then return { 'closed' } end
  for _, code in ipairs(codes) do
    local holder = held[code[3]]
    if holder and not is_released(holder) then return { 'held', holder } end
  end
  for i, code in ipairs(codes) do
    local coupon, obstacle = load(code, i)
    obstacle = obstacle or refusal(coupon, code, customer, i)
    if obstacle then return obstacle end
  end
  return nil
end

local accepted, expiries = {}, {}
local function take(item)
  local slot, redemption, status, expires, customer, codes =
    item[3], item[6], item[7], item[8], item[9], item[11]
  local offset = append(item)
  accepted[#accepted + 1] = item
  taken[redemption] = status .. ' ' .. offset .. ' - ' .. expires .. ' ' .. item[10]
  if slot ~= '' then held[slot] = item[4] .. offset .. item[5] end
  if status == 'reserved' then
    expiries[#expiries + 1] = expires
    expiries[#expiries + 1] = redemption
  end
  local reply = { 'reserved', last }
  for i, code in ipairs(codes) do
    local coupon, counter = coupon_at(code[1]), status == 'reserved' and 'reserved' or 'redeemed'
    held[code[3]] = redemption
    coupon.touched, coupon.version = true, code[5]
    coupon[counter] = coupon[counter] + 1
    coupon.budget_used = coupon.budget_used + code[9]
    if code[7] >= 0 then
      coupon.customer_uses[customer] = coupon.customer_uses[customer] + 1
      announce(code[4], code[1] .. ' ' .. customer)
    end
    if code[6] >= 0 or code[7] >= 0 or code[8] >= 0 then announce(code[4], code[1]) end
    reply[i * 2 + 1], reply[i * 2 + 2] = coupon.reserved + coupon.redeemed, coupon.budget_used
  end
  return reply
end

local function write(item)
  local slot, redemption, status, customer = item[3], item[6], item[7], item[9]
  if slot ~= '' then redis.call('SET', slot, held[slot], 'PX', answer_memory) end
  if status == 'reserved' then
    redis.call('SET', redemption, taken[redemption])
  else
    redis.call('SET', redemption, taken[redemption], 'PX', settled_memory)
  end
  for _, code in ipairs(item[11]) do
    if status == 'reserved' then
      redis.call('SET', code[3], redemption)
    else
      redis.call('SET', code[3], redemption, 'PX', order_memory)
    end
    if code[7] >= 0 then redis.call('HINCRBY', code[2], customer, 1) end
  end
end

look_up()
local replies = {}
for i, item in ipairs(items) do replies[i] = decide(item) or take(item) end
write_entry()
for _, item in ipairs(accepted) do write(item) end
write_counters()
if #expiries > 0 then redis.call('ZADD', KEYS[3], unpack(expiries)) end
return replies
