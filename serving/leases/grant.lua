-- Grants one sidecar its share of 1; atomic, and on the store's own clock.
--   KEYS  leases (hash: name -> "share want demand expiry_ms"), born (time of the first grant)
--   ARGV  name, held, want, demand_per_s, replicas, ttl_ms, deadline_ms
-- What is counted of a sidecar is the larger of what it holds and what it is granted, until it says that it has let go; a sidecar
-- that is absent is counted with the safe share. A store that was born less than three leases ago may have forgotten leases: it
-- grants nobody more than is held.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local name, held, want = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local replicas, ttl = tonumber(ARGV[5]), tonumber(ARGV[6])
if now > tonumber(ARGV[7]) then return {'late'} end
redis.call('SET', KEYS[2], now, 'NX')
local age = now - tonumber(redis.call('GET', KEYS[2]))

local lent, live, demand, wants = 0, 1, tonumber(ARGV[4]), {want}
local entries = redis.call('HGETALL', KEYS[1])
for at = 1, #entries, 2 do
  local share, wanted, asked, expiry = entries[at + 1]:match('(%S+) (%S+) (%S+) (%S+)')
  if tonumber(expiry) <= now then
    redis.call('HDEL', KEYS[1], entries[at])
  elseif entries[at] ~= name then
    lent, live, demand = lent + tonumber(share), live + 1, demand + tonumber(asked)
    wants[#wants + 1] = tonumber(wanted)
  end
end
if live > replicas then return {'full'} end

local safe = 1 / replicas
local order, left, mine = wants, live * safe, nil
table.sort(order)
for taken, wanted in ipairs(order) do  -- max-min fair: the same as serving/sharing.py
  local part = math.min(math.max(wanted, 0), left / (#order - taken + 1))
  left = left - part
  if wanted == want then mine = part end
end
local room = 1 - lent - (replicas - live) * safe
local grant = math.min(mine + left / #order, room)
if age < 3 * ttl then grant = math.min(grant, held) end
grant = math.max(grant, 0)
redis.call('HSET', KEYS[1], name,
  string.format('%.17g %.17g %.17g %d', math.max(grant, held), want, tonumber(ARGV[4]), now + ttl))
return {'ok', string.format('%.17g', grant), string.format('%.17g', demand)}
