-- Replaces a mark that is still the one expected, and gives it a time to live; or takes it away.
-- KEYS[1]  the mark
-- ARGV     the mark expected, the mark to stand or '' for none, its time to live in milliseconds
-- Answers 1 where it was replaced, 0 where another one stands or none.
local ttl = tonumber(ARGV[3])
if #KEYS ~= 1 or #ARGV ~= 3 or not ttl or ttl < 1 then
  return redis.error_reply('BADCALL mark')
end
local standing = redis.pcall('GET', KEYS[1])
if type(standing) == 'table' then
  return standing
end
if standing ~= ARGV[1] then
  return 0
end
if ARGV[2] == '' then
  return redis.call('DEL', KEYS[1])
end
local written = redis.pcall('SET', KEYS[1], ARGV[2], 'PX', ttl)
if type(written) == 'table' and written.err then
  return written
end
return 1
