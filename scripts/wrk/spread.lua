-- By itself every thread of wrk goes to the first address of a name.
local threads = 0

function setup(thread)
   thread.addr = wrk.addrs[threads % #wrk.addrs + 1]
   threads = threads + 1
end

-- The last line, for a program to read. wrk counts a status of 400 or more as an error.
function done(summary, latency, requests)
   local errors = summary.errors
   print(string.format(
      '{"requests":%d,"microseconds":%d,"addresses":%d,"bad":%d,"broken":%d,"p99":%d,"slowest":%d}',
      summary.requests, summary.duration, #wrk.addrs, errors.status,
      errors.connect + errors.read + errors.write + errors.timeout,
      latency:percentile(99), latency.max
   ))
end
