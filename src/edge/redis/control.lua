-- Sets one control unless a later one stands; the rule is that of domain/control.rs. Where there is no room for a new one,
-- those that have been off for long are let go of.
-- KEYS[1]  the controls: JSON objects with "state" and "at", by kind and target
-- ARGV     name, JSON object, its time in milliseconds, the rank of its state, the most controls kept beside a new one,
--          and the time since which a control must have been off to be let go of
-- Answers 1 where it stands now, 0 where a later one does, -1 where there is no room.
local name, at, rank, most, oldest = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
if #KEYS ~= 1 or #ARGV ~= 6 or not at or not rank or not most or not oldest then
  return redis.error_reply('BADCALL control')
end

local RANKS = { off = 0, on = 1, kept = 2 }

local function read(text)
  local well, control = pcall(cjson.decode, text)
  if well and type(control) == 'table' and type(control.at) == 'number' then
    return control
  end
end

local standing = redis.pcall('HGET', KEYS[1], name)
if type(standing) == 'table' then
  return standing
end
local control = standing and read(standing)
-- A state that is not known here is on, as far as anybody can tell.
if control and (control.at > at or (control.at == at and (RANKS[control.state] or 1) > rank)) then
  return 0
end

if not standing and redis.call('HLEN', KEYS[1]) >= most then
  local all = redis.call('HGETALL', KEYS[1])
  for place = 1, #all, 2 do
    local other = read(all[place + 1])
    if other and other.state == 'off' and other.at < oldest then
      redis.call('HDEL', KEYS[1], all[place])
    end
  end
  if redis.call('HLEN', KEYS[1]) >= most then
    return -1
  end
end
local written = redis.pcall('HSET', KEYS[1], name, ARGV[2])
if type(written) == 'table' then
  return written
end
return 1
