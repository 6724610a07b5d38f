//! What runs in Redis, each as a whole or not at all. Answers are texts, since numbers of scripts are not exact above 2^53.

/// Key: meta. Arguments: format, term or nothing. Answers sequence and term.
pub(crate) const OPEN: &str = "
local meta, format, term = KEYS[1], ARGV[1], ARGV[2]
local there = redis.call('HGET', meta, 'format')
if there and there ~= format then
  return redis.error_reply('FORMAT the records have format ' .. there .. ', this broker writes ' .. format)
end
local now = redis.call('HGET', meta, 'term') or '0'
if term == '' then
  redis.call('HSET', meta, 'format', format)
  redis.call('HINCRBY', meta, 'term', 1)
  now = redis.call('HGET', meta, 'term')
elseif term ~= now then
  return redis.error_reply('TERM another broker has opened these records since')
end
return { redis.call('HGET', meta, 'sequence') or '0', now }
";

/// Key: meta. Arguments: term, then for each change `+`, values, keys, key, value, or `-`, values, keys, key. Answers the sequence.
pub(crate) const COMMIT: &str = "
local meta = KEYS[1]
if redis.call('HGET', meta, 'term') ~= ARGV[1] then
  return redis.error_reply('TERM another broker has opened these records since')
end
local at = 2
while at <= #ARGV do
  local values, keys, key = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  if ARGV[at] == '+' then
    redis.call('HSET', values, key, ARGV[at + 4])
    redis.call('ZADD', keys, 0, key)
    at = at + 5
  else
    redis.call('HDEL', values, key)
    redis.call('ZREM', keys, key)
    at = at + 4
  end
end
redis.call('HINCRBY', meta, 'sequence', 1)
return redis.call('HGET', meta, 'sequence')
";

/// Keys: values, keys. Arguments: from, to, most bytes. Answers key, value, key, value.
pub(crate) const SCAN: &str = "
local values, keys, from, to, most = KEYS[1], KEYS[2], ARGV[1], ARGV[2], tonumber(ARGV[3])
local rows, bytes = {}, 0
while true do
  local found = redis.call('ZRANGEBYLEX', keys, from, to, 'LIMIT', 0, 100)
  for _, key in ipairs(found) do
    local value = redis.call('HGET', values, key)
    bytes = bytes + #key + (value and #value or 0)
    if bytes > most and #rows > 0 then
      return rows
    end
    rows[#rows + 1] = key
    rows[#rows + 1] = value
  end
  if #found < 100 then
    return rows
  end
  from = '(' .. found[100]
end
";
