-- Replaces the beginning of a log by what is kept of it; what others appended since stays behind it.
-- KEYS[1]  the log
-- ARGV     length in bytes of the beginning as it was read, its SHA-1 in hex, the bytes kept, TTL in milliseconds
-- Answers 1 where it replaced, 0 where the log begins otherwise by now.
local length, ttl = tonumber(ARGV[1]), tonumber(ARGV[4])
if #KEYS ~= 1 or #ARGV ~= 4 or not length or length < 1 or not ttl or ttl < 1 then
  return redis.error_reply('BADCALL windows_compact')
end

local log = redis.pcall('GET', KEYS[1])
if type(log) == 'table' then
  return log
end
if not log or #log < length or redis.sha1hex(string.sub(log, 1, length)) ~= ARGV[2] then
  return 0
end

local written = redis.pcall('SET', KEYS[1], ARGV[3] .. string.sub(log, length + 1), 'PX', ARGV[4])
if written.err then
  return written
end
return 1
