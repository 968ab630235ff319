-- Puts the name that the server knows in the place of the caller's: in the path of a REST call, in the messages of
-- a gRPC call, in the body of a call of OpenAI's API; and answers what goes nowhere. Must do what
-- tests/support/matching.py says (tests compare the two). What names no model has been through naming.lua.

local byte, char, floor, sub = string.byte, string.char, math.floor, string.sub

-- No route, or the route of a name that cannot be served now; the route of a name that another mesh answers refuses
-- nothing.
local function refuse_model(handle, as, context, asked)
  if context:get("elsewhere") ~= nil then return end
  local reason = context:get("reason")
  if reason == nil then return as(handle, not_found(asked)) end
  as(handle, {
    status = "503", grpc = "14", reason = reason, message = context:get("message"), model = context:get("name"),
  })
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

-- Compiled, for a message of nothing but fields takes a worker from everybody else; the usual ones never come here.
jit.on(take_varint)
jit.on(walk)

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

-- A call that has no model's name is for the namespace, whose route answers.
local function refuse_method(handle, headers)
  if asked_for(headers) ~= nil then as_grpc(handle, TEXT.grpc_not_served) end
end

local function on_grpc(handle, headers)
  if not METHODS[headers:get(":path")] then return refuse_method(handle, headers) end
  local context = handle:filterContext()
  local backend = context:get("backend")
  if backend == nil then
    local asked = asked_for(headers)
    if asked ~= nil then refuse_model(handle, as_grpc, context, asked) end
    return
  end
  local encoding = headers:get("grpc-encoding")
  if encoding ~= nil and encoding ~= "identity" then return as_grpc(handle, TEXT.not_decoded) end
  -- A pipeline gateway reads the version in the header: a message that grows has no place on HTTP/1.1.
  if string.find(backend, "%.pipeline_%d+$") then return headers:replace("bailie-version", backend) end
  rename_messages(handle, backend)
end

-- Other fields of the body stay as they are, and so does a body whose model only the header or the path names.
local function on_openai(handle, headers, context, asked)
  local backend = context:get("backend")
  if backend == nil then return refuse_model(handle, as_openai, context, asked) end
  headers:replace("bailie-version", backend)
  local text = whole_body(handle)
  local name, first, last = model_in(text)
  if name == nil then return as_openai(handle, TEXT.body_names_none) end
  handle:body():setBytes(sub(text, 1, first - 1) .. json(backend) .. sub(text, last + 1))
end

local function on_rest(handle, headers)
  local path, context, asked = headers:get(":path"), handle:filterContext(), asked_for(headers)
  local name, rest, query = string.match(path, "^/v2/models/([^/?#]+)([^?#]*)(.*)$")
  if name == nil then
    if asked ~= nil and OPENAI[string.match(path, "^/v1/(.+)$")] then on_openai(handle, headers, context, asked) end
    return
  end
  local backend = context:get("backend")
  if backend == nil then return refuse_model(handle, as_rest, context, asked or name) end
  if sub(rest, 1, 10) == "/versions/" then
    rest = string.match(rest, "^/versions/[^/]+(.*)$") or rest
  end
  rest = string.match(rest, "^(.*[^/])/*$") or ""
  -- Triton would let a caller change what the server does for all.
  if string.find(rest, "/trace", 1, true) then return as_rest(handle, TEXT.not_served) end
  headers:replace(":path", "/v2/models/" .. backend .. rest .. query)
end

-- Of several versions Envoy has chosen one: request_metrics.py counts by it, whether an answer comes or not.
local function note_version(handle)
  local version = handle:filterContext():get("version")
  if version ~= nil then handle:streamInfo():dynamicMetadata():set("bailie", "version", version) end
end

function envoy_on_request(handle)
  note_version(handle)
  local headers = handle:headers()
  if is_grpc(headers) then on_grpc(handle, headers) else on_rest(handle, headers) end
end
