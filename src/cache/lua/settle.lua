-- Commits or releases redemptions and appends the events of it. batch.lua comes before it.
-- An item: (events, bytes,) redemption, target status, why (released, expired, replaced, or
--   committed), customer, codes. A code: coupon, customers, order, partition, discount.
-- Takes further: how long to keep a settled redemption and a settled order in ms.
-- Gives for each item: {'settled', offset}, {'unchanged'} where it is already so (or has not
--   expired), {'missing'}, {'refused', reason}, {'cold', i} where the code's counters are not here,
--   {'closed'} where no counters may be used yet.
-- Safe to repeat: yes.
local settled_memory, order_memory = ARGV[3], ARGV[4]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local redemptions = {}
local function look_up()
  local keys = {}
  for i, item in ipairs(items) do keys[i] = item[3] end
  for i, text in ipairs(redis.call('MGET', unpack(keys))) do
    redemptions[keys[i]] = redemptions[keys[i]] or redemption_of(text)
  end
end

-- Nil where it shall be settled.
local function obstacle_of(state, target, why, codes)
  if state.status == target then return { 'unchanged' } end
  local expired = now >= tonumber(state.expires)
  if target == 'committed' then
    if state.status == 'released' then
      return { 'refused', state.why == 'expired' and 'expired' or 'already_released' }
    end
    if expired then return { 'refused', 'expired' } end
  elseif why ~= 'released' and state.status ~= 'reserved' or why == 'expired' and not expired then
    return { 'unchanged' }
  end
  for i, code in ipairs(codes) do
    if not coupon_at(code[1]).warm then return { 'cold', i } end
  end
  return nil
end

local gone, changed = {}, {}
local function decide(item)
  if closed then return { 'closed' } end
  local key, target, why, codes = item[3], item[4], item[5], item[7]
  local state = redemptions[key]
  local obstacle = not state and { 'missing' } or obstacle_of(state, target, why, codes)
  if obstacle then
    if not state or state.status ~= 'reserved' then gone[#gone + 1] = key end
    return obstacle
  end
  for _, code in ipairs(codes) do
    local coupon = coupon_at(code[1])
    local before = state.status == 'reserved' and 'reserved' or 'redeemed'
    coupon.touched = true
    coupon[before] = coupon[before] - 1
    if target == 'committed' then
      coupon.redeemed = coupon.redeemed + 1
    else
      coupon.budget_used = coupon.budget_used - code[5]
      announce(code[4], code[1])
      announce(code[4], code[1] .. ' ' .. item[6])
    end
  end
  state.status, state.why, state.offset = target, why, append(item)
  gone[#gone + 1] = key
  changed[#changed + 1] = item
  return { 'settled', last }
end

local function give_back(code, redemption, customer)
  local coupon, customers, order = coupon_at(code[1]), code[2], code[3]
  if redis.call('HEXISTS', customers, customer) == 1 then
    local uses = redis.call('HINCRBY', customers, customer, -1)
    if uses <= 0 and coupon.counted == 'all' then redis.call('HDEL', customers, customer) end
  else
    -- Whoever is looking this customer's uses up must look again.
    coupon.moves = coupon.moves + 1
  end
  if redis.call('GET', order) == redemption then redis.call('DEL', order) end
end

local function write(item)
  local key, target, customer, codes = item[3], item[4], item[6], item[7]
  local state = redemptions[key]
  local text = state.status .. ' ' .. state.offset .. ' ' .. state.why .. ' ' .. state.rest
  redis.call('SET', key, text, 'PX', settled_memory)
  for _, code in ipairs(codes) do
    if target == 'committed' then
      redis.call('PEXPIRE', code[3], order_memory)
    else
      give_back(code, key, customer)
    end
  end
end

look_up()
local replies = {}
for i, item in ipairs(items) do replies[i] = decide(item) end
write_entry()
for _, item in ipairs(changed) do write(item) end
write_counters()
if #gone > 0 then redis.call('ZREM', KEYS[3], unpack(gone)) end
return replies
