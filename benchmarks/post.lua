-- wrk: send the requests that lie in the given files, in turn; print figures as JSON.

local requests, sent = {}, 0

function init(files)
  for _, name in ipairs(files) do
    local file = assert(io.open(name, "rb"))
    table.insert(requests, file:read("*a"))
    file:close()
  end
end

function request()
  sent = sent + 1
  return requests[(sent - 1) % #requests + 1]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"n": %d, "seconds": %f, "p50": %f, "p99": %f, "errors": %d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
