-- Puts the name that the server knows in the place of the caller's: in the path of a REST call, in the messages of
-- a gRPC call; and answers what goes nowhere. Must do what routing/match.py says (tests compare the two).
-- The texts are from routing/refusal.py: listener.py writes NAMESPACE and TEXT above this.

-- Each request runs in a coroutine of its own and calls into Envoy all the time: little can be compiled, and what is
-- tried costs a change of memory protection each time. Interpreted, a request takes less time.
jit.off()

local METHODS = {
  ["/inference.GRPCInferenceService/ModelInfer"] = true,
  ["/inference.GRPCInferenceService/ModelStreamInfer"] = true,
  ["/inference.GRPCInferenceService/ModelMetadata"] = true,
  ["/inference.GRPCInferenceService/ModelReady"] = true,
}
local MAX_NAME = 253
local byte, char, floor, sub = string.byte, string.char, math.floor, string.sub

-- The header holds /v2/models/<name>, or the path of a request that came without it (listener.py).
local function asked_for(headers)
  return string.match(headers:get("seldon-model") or "", "^/v2/models/([^/]+)")
end

local function json(text)
  return '"' .. string.gsub(text, '[%c"\\]', function(c) return string.format("\\u%04x", string.byte(c)) end) .. '"'
end

local function shown(name)
  return (string.gsub(string.sub(name, 1, MAX_NAME), '[%c"\\\128-\255]', "?"))
end

local function refuse(handle, grpc, answer)
  if grpc then
    handle:respond({ [":status"] = "200", ["grpc-status"] = answer.grpc }, answer.message)
    return
  end
  local body = '{"error":' .. json(answer.message) .. ',"reason":' .. json(answer.reason)
    .. ',"model":' .. json(answer.model or "") .. ',"namespace":' .. json(NAMESPACE) .. "}"
  handle:respond({ [":status"] = answer.status, ["content-type"] = "application/json" }, body)
end

-- No route, or the route of a name that cannot be served now.
local function refuse_model(handle, grpc, context, asked)
  local reason = context:get("reason")
  local answer
  if reason == nil then
    local name = shown(asked)
    local message = string.gsub(TEXT.not_found.message, "%$MODEL", function() return name end)
    answer = { status = "404", grpc = "5", reason = TEXT.not_found.reason, message = message, model = name }
  else
    answer = { status = "503", grpc = "14", reason = reason, message = context:get("message"), model = context:get("name") }
  end
  refuse(handle, grpc, answer)
end

-- In protobuf the last value of a field wins. So the name (field 1) and an empty version (field 2) are appended to
-- each message, and the length before it is changed. Nothing is buffered, and nothing waits for the end of a message
-- or a stream. That the appendix is read as two fields of its own is only certain if all fields before it end where
-- the caller's message ends. So the fields are walked: their tags and lengths are read, their values are skipped, and
-- chunks in the middle of a value are not even copied.
-- A message that ends within a field, or has one of a kind that no message here has (a group), is spoiled: from the
-- byte that shows it, and instead of the appendix, the server gets bytes of 255. They continue the number that was
-- being read, which thereby never ends, and every server refuses such a message.
-- So is one of more fields than any request has: to walk over millions of them would keep a worker from everybody else.
-- setBytes makes a content-length header of the chunk's length, which goes along if the connection to the server was
-- not ready yet. It is wrong for a message of several chunks; the gRPC library of MLServer and Triton ignores it.
local MAX_MESSAGE = 2147483647 -- bytes with the appendix: protobuf has no larger messages
local TOO_LARGE = "\0\255\255\255\255" -- a length above every server's limit, which the server names in its refusal
local SPOILED = "\255"
local MAX_PLAIN_FIELDS = 64
local MAX_FIELDS = 65536 -- of one message, those of its inputs not among them
local TAG, LENGTH, NUMBER = 1, 2, 3 -- kinds of varints
local MAX_VARINT = { [TAG] = 5, [LENGTH] = 5, [NUMBER] = 10 } -- bytes

local function appendix(name)
  local size = #name
  local length = size < 128 and string.char(size) or string.char(size % 128 + 128, math.floor(size / 128))
  return "\10" .. length .. name .. "\18\0"
end

-- Takes the varint that has been read; returns whether `after`, the bytes of the message behind it, suffice for it.
local function take_varint(state, after)
  local value, kind = state.sum, state.kind
  state.kind, state.sum, state.weight, state.bytes = TAG, 0, 1, 0
  if kind == LENGTH then
    state.skip = value
  elseif kind == TAG then
    local wire = value % 8
    state.fields = state.fields + 1
    if state.fields > MAX_FIELDS then return false end
    if value < 8 or value > 4294967295 then return false end -- no field has the number 0, or one of 30 bits
    if wire == 0 then state.kind = NUMBER
    elseif wire == 1 then state.skip = 8
    elseif wire == 2 then state.kind = LENGTH
    elseif wire == 5 then state.skip = 4
    else return false end
  end
  return state.skip <= after
end

-- Walks the bytes from `at` to `stop` of a message that ends at `finish`; returns where it is spoiled, or nil.
local function walk(state, data, at, stop, finish)
  while at <= stop do
    if state.skip > 0 then
      local step = math.min(state.skip, stop - at + 1)
      at, state.skip = at + step, state.skip - step
    else
      local byte = string.byte(data, at)
      state.sum = state.sum + byte % 128 * state.weight
      state.weight, state.bytes = state.weight * 128, state.bytes + 1
      if byte < 128 then
        if not take_varint(state, finish - at) then return at end
      elseif state.bytes == MAX_VARINT[state.kind] then
        return at
      end
      at = at + 1
    end
  end
end

-- Returns what the server gets for the bytes from `at` to `stop`, which are of one message.
local function walked(state, data, at, stop)
  local spoiled = state.spoiled and at or walk(state, data, at, stop, at + state.left - 1)
  state.left = state.left - (stop - at + 1)
  if spoiled == nil then return string.sub(data, at, stop) end
  state.spoiled, state.skip = true, 0
  return string.sub(data, at, spoiled - 1) .. string.rep(SPOILED, stop - spoiled + 1)
end

-- Begins a message; returns the five bytes before it.
local function begin(state, prefix)
  local flag, a, b, c, d = string.byte(prefix, 1, 5)
  local length = ((a * 256 + b) * 256 + c) * 256 + d
  local size = length + #state.tail
  if size > MAX_MESSAGE then
    state.refused = true
    return TOO_LARGE
  end
  state.left, state.spoiled = length, flag ~= 0 -- compressed, and nothing has said how
  state.kind, state.sum, state.weight, state.bytes, state.skip, state.fields = TAG, 0, 1, 0, 0, 0
  return string.char(0, math.floor(size / 16777216), math.floor(size / 65536) % 256,
    math.floor(size / 256) % 256, size % 256)
end

-- Returns what follows the caller's message: the appendix where a field can begin.
local function ending(state)
  local whole = not state.spoiled and state.kind == TAG and state.bytes == 0
  return whole and state.tail or string.rep(SPOILED, #state.tail)
end

local function renamed(state, data)
  local out, at, size = {}, 1, #data
  while at <= size and not state.refused do
    local stop
    if state.left > 0 then
      stop = math.min(size, at + state.left - 1)
      out[#out + 1] = walked(state, data, at, stop)
    else
      stop = math.min(size, at + 4 - #state.prefix)
      state.prefix = state.prefix .. string.sub(data, at, stop)
      if #state.prefix == 5 then
        out[#out + 1] = begin(state, state.prefix)
        state.prefix = ""
      end
    end
    if state.left == 0 and state.prefix == "" and not state.refused then out[#out + 1] = ending(state) end
    at = stop + 1
  end
  return table.concat(out)
end

-- Says whether the bytes are one whole message of a few texts and messages, as nearly all calls are: no other field,
-- and each ends within it. A shorter way to what `walk` finds, without its state.
local function is_plain(data, size)
  local flag, a, b, c, d = byte(data, 1, 5)
  if flag ~= 0 or a ~= 0 or (b * 256 + c) * 256 + d ~= size - 5 then return false end
  local at = 6
  for _ = 1, MAX_PLAIN_FIELDS do
    if at > size then return at == size + 1 end
    local tag, length = byte(data, at, at + 1)
    if tag > 127 or tag < 8 or tag % 8 ~= 2 or length == nil then return false end
    at = at + 2
    if length > 127 then
      local more = byte(data, at)
      if more == nil or more > 127 then return false end
      length, at = length - 128 + more * 128, at + 1
    end
    at = at + length
  end
  return false
end

local function with_tail(data, size, tail)
  local length = size - 5 + #tail
  return char(0, floor(length / 16777216), floor(length / 65536) % 256, floor(length / 256) % 256, length % 256)
    .. sub(data, 6) .. tail
end

-- `left`: bytes of the message that has begun which are to come, `skip`: those of them that need no look.
-- `prefix`: what has come of the five bytes before the next message. After `refused` nothing is passed on.
local function rename_messages(handle, name)
  local state = { tail = appendix(name), left = 0, skip = 0, prefix = "", refused = false }
  for chunk in handle:bodyChunks() do
    local length = chunk:length()
    if state.left > length and state.skip >= length then
      state.left, state.skip = state.left - length, state.skip - length
    elseif length > 0 then
      local data = chunk:getBytes(0, length)
      if length > 5 and state.left == 0 and state.prefix == "" and not state.refused and is_plain(data, length) then
        chunk:setBytes(with_tail(data, length, state.tail))
      else
        chunk:setBytes(renamed(state, data))
      end
    end
  end
end

local function on_grpc(handle, headers)
  if not METHODS[headers:get(":path")] then return refuse(handle, true, TEXT.grpc_not_served) end
  local context = handle:filterContext()
  local backend = context:get("backend")
  if backend == nil then
    local asked = asked_for(headers)
    if asked == nil then return refuse(handle, true, TEXT.not_named) end
    return refuse_model(handle, true, context, asked)
  end
  local encoding = headers:get("grpc-encoding")
  if encoding ~= nil and encoding ~= "identity" then return refuse(handle, true, TEXT.not_decoded) end
  rename_messages(handle, backend)
end

local function on_rest(handle, headers)
  local name, rest = string.match(headers:get(":path"), "^/v2/models/([^/?#]+)(.*)$")
  if name == nil then return refuse(handle, false, TEXT.rest_not_served) end
  local context = handle:filterContext()
  local backend = context:get("backend")
  if backend == nil then return refuse_model(handle, false, context, asked_for(headers) or name) end
  if string.sub(rest, 1, 10) == "/versions/" then
    rest = string.match(rest, "^/versions/[^/?#]+(.*)$") or rest
  end
  headers:replace(":path", "/v2/models/" .. backend .. rest)
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local kind = headers:get("content-type")
  if kind == "application/grpc" or (kind ~= nil and string.sub(kind, 1, 17) == "application/grpc+") then
    on_grpc(handle, headers)
  else
    on_rest(handle, headers)
  end
end
