-- Replaces the beginning of a log by what is kept of it; what others appended since stays behind it. Bytes beyond whole
-- records stand before the first: their number is the log's generation, and the next one begins.
-- KEYS[1]  the log
-- ARGV     length in bytes of the beginning as it was read, its SHA-1 in hex, the bytes kept, TTL in milliseconds, bytes of
--          a record
-- Answers 1 where it replaced, 0 where the log begins otherwise by now.
local length, ttl, record = tonumber(ARGV[1]), tonumber(ARGV[4]), tonumber(ARGV[5])
if #KEYS ~= 1 or #ARGV ~= 5 or not length or length < 1 or not ttl or ttl < 1 or not record or record < 1 then
  return redis.error_reply('BADCALL windows_compact')
end

local log = redis.pcall('GET', KEYS[1])
if type(log) == 'table' then
  return log
end
if not log then
  return 0
end
local generation = #log % record
local rest = generation + length + 1
if #log < rest - 1 or redis.sha1hex(string.sub(log, generation + 1, rest - 1)) ~= ARGV[2] then
  return 0
end

local filler = string.rep('\0', (generation + 1) % record)
local written = redis.pcall('SET', KEYS[1], filler .. ARGV[3] .. string.sub(log, rest), 'PX', ARGV[4])
if written.err then
  return written
end
return 1
