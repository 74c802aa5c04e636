-- Settles one request for a claim; the rule is that of domain/claim.rs.
-- KEYS[1]  the claims of one customer and trigger: records of 14 bytes (6 time, 8 event), in the order taken
-- ARGV     the record asked for, 'take' or 'look', cool-down, retention and TTL in milliseconds
-- Answers 'held', 'free', or the 6 bytes of the time of the claim that is too near.
local TIME, RECORD = 6, 14

-- 48 bits and the sums below stay under 2^53, so doubles hold them exactly.
local function time(record)
  local number = 0
  for place = 1, TIME do
    number = number * 256 + string.byte(record, place)
  end
  return number
end

local asked, intent = ARGV[1], ARGV[2]
local cooldown, retention, ttl = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if #KEYS ~= 1 or #ARGV ~= 5 or #asked ~= RECORD or (intent ~= 'take' and intent ~= 'look')
  or not cooldown or not retention or not ttl or ttl < 1 then
  return redis.error_reply('BADCALL claims')
end

local claims = redis.pcall('GET', KEYS[1])
if type(claims) == 'table' then
  return claims
end
claims = claims or ''
if #claims % RECORD ~= 0 then
  return redis.error_reply('BADLENGTH claims')
end

local event = string.sub(asked, TIME + 1)
for start = 1, #claims, RECORD do
  if string.sub(claims, start + TIME, start + RECORD - 1) == event then
    return 'held'
  end
end

local at = time(asked)
if #claims > 0 then
  local latest = string.sub(claims, -RECORD)
  if at < time(latest) + cooldown then
    return string.sub(latest, 1, TIME)
  end
end

if intent == 'take' then
  local kept = {}
  for start = 1, #claims, RECORD do
    local claim = string.sub(claims, start, start + RECORD - 1)
    if time(claim) > at - retention then
      kept[#kept + 1] = claim
    end
  end
  kept[#kept + 1] = asked
  local written = redis.pcall('SET', KEYS[1], table.concat(kept), 'PX', ARGV[5])
  if written.err then
    return written
  end
end
return 'free'
