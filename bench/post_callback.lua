-- wrk: POST the callback of an answered notification, a new UUIDv1 callid and another number each time.
-- Environment: DELAY_MS, mean think time of a connection between two requests (0: none).
local delay_ms = tonumber(os.getenv("DELAY_MS") or "0")
local head = '{"voiceprompt_callback":{"result":"0","accept_time":"1470197211","call_from":"","callid":"'
local middle = '","end_calltime":"1470197221","fee":"1","mobile":"138'
local tail = '","nationcode":"86","start_calltime":"1470197196"}}'
local headers = { ["Content-Type"] = "application/json" }
local sent, node, clock = 0, "", 0

function init()
  math.randomseed(os.time() + tonumber(tostring({}):sub(8)) % 1000003)
  node = string.format("%04x-%012x", 0x8000 + math.random(0, 0x3fff), math.random(0, 2 ^ 31))
  clock = os.time() * 2 ^ 20 -- rises from run to run, as the time in a UUIDv1 does
end

function request()
  sent = sent + 1
  local ticks = clock + sent
  local low = ticks % 2 ^ 32
  local high = math.floor(ticks / 2 ^ 32)
  local callid = string.format("%08x-%04x-1%03x-%s", low, high % 2 ^ 16, math.floor(high / 2 ^ 16) % 2 ^ 12, node)
  local mobile = string.format("%08d", math.random(0, 99999999))
  return wrk.format("POST", "/voice/callback", headers, head .. callid .. middle .. mobile .. tail)
end

if delay_ms > 0 then
  function delay()
    return math.random(0, 2 * delay_ms)
  end
end
