-- The bucket of one principal, shared by nodes. What holds at any time: available + leased <= limit. So whatever the nodes
-- hold back and spend later, a bucket of that limit would have given out too.
--
-- KEYS[1] is a hash: a, the tokens available; t, when that was, in microseconds of this server's clock; and under the name
-- of each node what is leased to it and until when.
-- ARGV: the node · the limit, also refilled in a minute · how long a lease is good, in microseconds · what the node has spent
-- of its lease since it last asked · what it gives back · what it needs at once · what it wants.
-- Returns what it is granted, whether its lease was still good (1) or not (0), and the thousandths of tokens left.

local node, limit, life = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local spent, back, need, want = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local minute, hour = 60000000, 3600000000

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

local available, at, own, good, leased, over = limit, now, 0, 0, 0, {}
local state = redis.call('HGETALL', KEYS[1])
for i = 1, #state, 2 do
  local field, value = state[i], state[i + 1]
  if field == 'a' then
    available = tonumber(value)
  elseif field == 't' then
    at = tonumber(value)
  else
    local tokens, ends = string.match(value, '^(%d+) (%d+)$')
    tokens, ends = tonumber(tokens), tonumber(ends)
    leased = leased + tokens
    if ends <= now or ends > now + hour then -- the clock may have been set back
      over[#over + 1] = field
    elseif field == node then
      own, good = tokens, 1
    end
  end
end

-- Leases that are over count as spent, but until now: they make no room for what flowed in before.
available = math.max(0, math.min(limit - leased, available + math.max(0, now - at) * limit / minute))

own = math.max(0, own - spent)
back = math.min(back, own)
own = own - back
available = available + back

-- Where little is left no node takes more than half beyond its need, so that little lies idle elsewhere.
local granted = math.min(math.floor(available), math.max(need, math.min(want, math.floor(available / 2))))
available = available - granted
own = own + granted

if #over > 0 then
  redis.call('HDEL', KEYS[1], unpack(over))
end
redis.call('HSET', KEYS[1], 'a', string.format('%.17g', available), 't', string.format('%.0f', now))
if own > 0 then
  redis.call('HSET', KEYS[1], node, string.format('%.0f %.0f', own, now + life))
else
  redis.call('HDEL', KEYS[1], node)
end
-- When every lease is over, and what they held has flowed in again, a full bucket needs no words.
redis.call('PEXPIRE', KEYS[1], math.ceil((life + (limit - available) * minute / limit) / 1000))
return { granted, good, math.floor(available * 1000) }
