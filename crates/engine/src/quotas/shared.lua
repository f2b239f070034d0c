-- The ledger of one person or account, checked and changed in one step. The same rules as `policy::quotas::Ledger`.
--   KEYS  requests (sorted set: id by moment)  leases (sorted set: id by expiry)  tokens (hash: tokens by day)
--   ARGV  operation, then: look · reserve ID PROMPT TOKENS ENFORCE LEASE MINUTE HOUR DAY LENGTH CONCURRENT
--         settle ID DAY RESERVED TOKENS · cancel ID DAY RESERVED · renew ID LEASE
-- The time is the server's own, so that machines with different clocks agree.
local MINUTE, HOUR, DAY = 60000, 3600000, 86400000
local requests, leases, tokens = KEYS[1], KEYS[2], KEYS[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local today = math.floor(now / DAY)

for _, id in ipairs(redis.call('ZRANGEBYSCORE', requests, '(' .. now, '+inf')) do
  redis.call('ZADD', requests, now, id)
end
redis.call('ZREMRANGEBYSCORE', requests, '-inf', now - HOUR)
redis.call('ZREMRANGEBYSCORE', leases, '-inf', now)
redis.call('HDEL', tokens, today - 2, today - 3)

local function settle(id, day, reserved, used)
  redis.call('ZREM', leases, id)
  local counted = redis.call('HGET', tokens, day)
  if counted then
    redis.call('HSET', tokens, day, string.format('%.0f', math.max(0, counted - reserved) + used))
  end
end

local function oldest_after(moment, skip)
  local found = redis.call('ZRANGEBYSCORE', requests, '(' .. moment, '+inf', 'WITHSCORES', 'LIMIT', skip, 1)
  return found[2] and tonumber(found[2]) or -1
end

local function tally()
  return {
    now,
    redis.call('ZCOUNT', requests, '(' .. (now - MINUTE), '+inf'), oldest_after(now - MINUTE, 0),
    redis.call('ZCARD', requests), oldest_after(now - HOUR, 0),
    tonumber(redis.call('HGET', tokens, today) or 0),
    redis.call('ZCARD', leases),
  }
end

local operation = ARGV[1]
local admitted, limit, wanted, free_at = 1, 0, 0, -1
if operation == 'settle' then
  settle(ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]))
elseif operation == 'cancel' then
  settle(ARGV[2], ARGV[3], tonumber(ARGV[4]), 0)
  redis.call('ZREM', requests, ARGV[2])
elseif operation == 'renew' then
  redis.call('ZADD', leases, 'XX', now + ARGV[3], ARGV[2])
elseif operation == 'reserve' then
  local id, reserve, enforce, lease = ARGV[2], tonumber(ARGV[4]), ARGV[5] == '1', tonumber(ARGV[6])
  local before = tally()
  -- The longest wait first.
  local order = {
    { 4, tonumber(ARGV[3]), tonumber(ARGV[10]) },
    { 3, before[6] + reserve, tonumber(ARGV[9]) },
    { 2, before[4] + 1, tonumber(ARGV[8]) },
    { 1, before[2] + 1, tonumber(ARGV[7]) },
    { 5, before[7] + 1, tonumber(ARGV[11]) },
  }
  for _, candidate in ipairs(order) do
    local which, would, size = candidate[1], candidate[2], candidate[3]
    if would > size then
      limit, wanted = which, would
      if which == 3 and reserve <= size then
        free_at = (today + 1) * DAY
      elseif (which == 1 or which == 2) and size > 0 then
        local window = which == 1 and MINUTE or HOUR
        local first = oldest_after(now - window, would - size - 1)
        free_at = first < 0 and -1 or first + window
      end
      break
    end
  end
  if limit > 0 and enforce then
    admitted = 0
  else
    redis.call('ZADD', requests, now, id)
    redis.call('ZADD', leases, now + lease, id)
    redis.call('HINCRBY', tokens, today, string.format('%.0f', reserve))
  end
end
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, 2 * DAY)
end

local answer = { admitted, limit, wanted, free_at }
for _, figure in ipairs(tally()) do
  answer[#answer + 1] = figure
end
return answer
