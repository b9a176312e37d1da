-- The circuits of all processes: what circuit.py says of one, in one round trip for a batch.
--
-- KEYS[1] a hash: by route, every circuit that is not closed, as JSON. KEYS[2 …] for each of `calls`, then of `isolated`
-- and `closed`: a hash of the route's calls by bucket.
-- ARGV[1] JSON: {now?, threshold, window, min_calls, reset, probes, buckets, patience,
--   ended: [[route, token, "succeeded" | "failed" | "neither"]], calls: [[route, succeeded, failed]],
--   asked: [[route, token, lease]], isolated: [route], closed: [route]}
-- Answers [now, all that are not closed, the seconds to wait for each that was asked for; "" lets it through].

local asked = cjson.decode(ARGV[1])
local now = asked.now
if not now then
  local time = redis.call('TIME')
  now = time[1] + time[2] / 1000000
end

local function is_ours(opening)
  if type(opening) ~= 'table' or type(opening.probes) ~= 'table' then return false end
  for _, name in ipairs({'since', 'ends', 'calls', 'failures', 'successes'}) do
    if type(opening[name]) ~= 'number' then return false end
  end
  return true
end

local openings = {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local is_json, opening = pcall(cjson.decode, all[i + 1])
  if is_json and is_ours(opening) then
    openings[all[i]] = opening
  else
    redis.call('HDEL', KEYS[1], all[i])  -- Not ours.
  end
end

local function keep(route)
  redis.call('HSET', KEYS[1], route, cjson.encode(openings[route]))
end

local function close(route)
  openings[route] = nil
  redis.call('HDEL', KEYS[1], route)
end

local function open(route, calls, failures)
  openings[route] = {since = now, ends = now + asked.reset, calls = calls, failures = failures,
    is_isolated = false, successes = 0, probes = {}}
  keep(route)
end

for i = #asked.calls + 2, #KEYS do redis.call('DEL', KEYS[i]) end
for _, route in ipairs(asked.closed) do close(route) end
for _, route in ipairs(asked.isolated) do
  openings[route] = {since = now, ends = now, calls = 0, failures = 0, is_isolated = true, successes = 0, probes = {}}
  keep(route)
end

for _, ended in ipairs(asked.ended) do
  local route, token, how = ended[1], ended[2], ended[3]
  local opening = openings[route]
  local ends = opening and opening.probes[token]
  if ends and ends > now then
    opening.probes[token] = nil
    if how == 'failed' then
      open(route, opening.calls, opening.failures)
    else
      if how == 'succeeded' then opening.successes = opening.successes + 1 end
      if opening.successes >= asked.probes then close(route) else keep(route) end
    end
  end
end

local function count(key, bucket)
  local calls, failures = 0, 0
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    local kind, number = string.match(fields[i], '^([+-])(%d+)$')
    if tonumber(number) <= bucket - asked.buckets then
      redis.call('HDEL', key, fields[i])
    else
      calls = calls + fields[i + 1]
      if kind == '-' then failures = failures + fields[i + 1] end
    end
  end
  return calls, failures
end

for i, call in ipairs(asked.calls) do
  local route, succeeded, failed, key = call[1], call[2], call[3], KEYS[i + 1]
  if openings[route] then
    redis.call('DEL', key)
  else
    local bucket = math.floor(now * asked.buckets / asked.window)
    local name = string.format('%d', bucket)
    if succeeded > 0 then redis.call('HINCRBY', key, '+' .. name, succeeded) end
    if failed > 0 then
      redis.call('HINCRBY', key, '-' .. name, failed)
      local calls, failures = count(key, bucket)
      if calls >= asked.min_calls and failures >= asked.threshold * calls then
        open(route, calls, failures)
        redis.call('DEL', key)
      end
    end
    redis.call('PEXPIRE', key, math.ceil(asked.window * 1000))
  end
end

local function ask(route, token, lease)
  local opening = openings[route]
  if not opening then return '' end
  if opening.is_isolated then return tostring(asked.reset) end
  if now < opening.ends then return string.format('%.6f', opening.ends - now) end
  local out = 0
  for name, ends in pairs(opening.probes) do
    if ends <= now then opening.probes[name] = nil else out = out + 1 end
  end
  if out + opening.successes >= asked.probes then return tostring(asked.patience) end
  opening.probes[token] = now + lease
  keep(route)
  return ''
end

local waits = {}
for _, one in ipairs(asked.asked) do waits[#waits + 1] = ask(one[1], one[2], one[3]) end
return {string.format('%.6f', now), redis.call('HGETALL', KEYS[1]), waits}
