-- What reserve.lua and settle.lua begin with, after opening.lua: both take a batch of redemptions
-- of one partition and decide them in order, each by what those before it have left. What is read
-- is read once and changed here; the streams, counters and announcements of all are written
-- together at the end.
-- Invariant: nothing of a batch is written before all of it is decided, except that customers are
-- counted or no longer counted, and nothing at all where a partition of its codes is closed.
-- Keys: stream, its offset, expiries, what was given out of it. Arguments: places, items and an
-- offset known to have been given out, in msgpack; the events of all items, one after the other. A
-- place is a partition that some code is in: number, life, changes, counter of changes. An item
-- begins with the number and the bytes of its events.
local batch = cmsgpack.unpack(ARGV[1])
local items = batch[2]
local places, lives = {}, {}
for i, place in ipairs(batch[1]) do
  places[place[1]] = { changes = place[3], changed = place[4], members = {} }
  lives[i] = place[2]
end
local closed = false
for i, life in ipairs(redis.call('MGET', unpack(lives))) do
  closed = closed or not is_open(life)
  places[batch[1][i][1]].is_new = life and string.sub(life, 1, 8) == 'without_'
end

-- A redemption is one string: status, offset of its latest event, why, expires_at ms, record.
local function redemption_of(text)
  if not text then return nil end
  local status, why, rest, expires = string.match(text, '^(%S+) %S+ (%S+) ((%S+) .*)$')
  return { status = status, why = why, expires = expires, rest = rest }
end

-- A coupon is warm when its counters are here. Of others only the version may be known (adopt.lua).
local coupons = {}
local function coupon_at(key)
  local coupon = coupons[key]
  if coupon then return coupon end
  local found = redis.call('HMGET', key,
    'version', 'reserved', 'redeemed', 'budget_used', 'counted', 'moves')
  coupon = {
    known_version = tonumber(found[1]), known_moves = tonumber(found[6]),
    version = tonumber(found[1]), reserved = tonumber(found[2]), redeemed = tonumber(found[3]),
    budget_used = tonumber(found[4]), counted = found[5], moves = tonumber(found[6]),
    warm = found[5] and true, customer_uses = {},
  }
  coupons[key] = coupon
  return coupon
end

-- Numbers that Redis is given as such it formats as floating point, which takes longer.
local function whole(number) return string.format('%d', number) end

-- What Redis has forgotten is not given out again: it leaves a hole, by which the loss is counted.
local offsets = redis.call('MGET', KEYS[2], KEYS[4])
local given = tonumber(offsets[2] or 0)
local last = math.max(tonumber(offsets[1] or 0), given, batch[3])
local first, blobs, bytes_before = last + 1, {}, 0
for _, item in ipairs(items) do
  item.from = bytes_before + 1
  bytes_before = bytes_before + item[2]
end
local function append(item)
  blobs[#blobs + 1] = string.sub(ARGV[2], item.from, item.from + item[2] - 1)
  last = last + item[1]
  return whole(last)
end

-- Limited codes are announced to the checks of every process (see coupon-usage.ts).
local function announce(place, member)
  local members = places[place].members
  if members[member] then return end
  members[member] = true
  members[#members + 1] = member
end

local function write_changes(place)
  local count = #place.members
  if count == 0 then return end
  local change = redis.call('INCRBY', place.changed, count)
  local scores = {}
  for i, member in ipairs(place.members) do
    scores[i * 2 - 1], scores[i * 2] = change, member
  end
  redis.call('ZADD', place.changes, unpack(scores))
  if change % 256 < count then redis.call('ZREMRANGEBYRANK', place.changes, 0, -20001) end
end

local function write_entry()
  if #blobs == 0 then return end
  local events = last - first + 1
  redis.call('SET', KEYS[2], whole(last))
  if given > 0 then redis.call('DEL', KEYS[4]) end
  redis.call('XADD', KEYS[1], '*', 'o', whole(first), 'n', events, 'b', table.concat(blobs))
end

local function write_counters()
  for key, coupon in pairs(coupons) do
    if coupon.touched then
      local counters = { 'reserved', whole(coupon.reserved), 'redeemed', whole(coupon.redeemed),
        'budget_used', whole(coupon.budget_used) }
      if coupon.version == coupon.known_version and coupon.moves == coupon.known_moves then
        redis.call('HSET', key, unpack(counters))
      else
        redis.call('HSET', key, 'version', whole(coupon.version), 'counted', coupon.counted,
          'moves', whole(coupon.moves), unpack(counters))
      end
    end
  end
  for _, place in pairs(places) do write_changes(place) end
end
