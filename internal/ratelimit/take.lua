-- GCRA over several keys: the same as decide in gcra.go, by the clock of Redis, in microseconds. All keys take the request or none does.
-- KEYS[i] holds the TAT. ARGV has for each key: what the request adds to the TAT, the capacity, and the least that the key has used.
-- Returns for each key what it had used before the request.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local used, allowed = {}, true
for i, key in ipairs(KEYS) do
  local increment, capacity, least = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local tat = tonumber(redis.call('GET', key) or now)
  used[i] = math.min(math.max(tat - now, least, 0), capacity)
  allowed = allowed and used[i] + increment <= capacity
end
if allowed then
  for i, key in ipairs(KEYS) do
    local after = used[i] + ARGV[3 * i - 2]
    -- In full digits, for a Redis that would write 14 of them. A key goes when its whole allowance is back: it would say nothing that no key does not say.
    redis.call('SET', key, string.format('%.0f', now + after), 'PX', math.ceil(after / 1000))
  end
end
return used
