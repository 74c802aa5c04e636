-- Notes a tenant's latest doubt and lets go of what is old or too much.
-- KEYS[1]  the doubts: tenants, by the time of their latest doubt in milliseconds
-- ARGV     time, tenant, the oldest time that is kept, the most tenants kept, TTL in milliseconds
if #KEYS ~= 1 or #ARGV ~= 5 or not tonumber(ARGV[1]) or not tonumber(ARGV[3]) or not tonumber(ARGV[4])
  or not tonumber(ARGV[5]) or tonumber(ARGV[5]) < 1 then
  return redis.error_reply('BADCALL doubt')
end

-- Where the key is of another type this fails first, and nothing is changed.
local added = redis.pcall('ZADD', KEYS[1], 'GT', ARGV[1], ARGV[2])
if type(added) == 'table' then
  return added
end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[3])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - ARGV[4])
return 1
