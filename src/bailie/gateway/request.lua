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
-- each message, whatever it holds, and only the length before it is changed: nothing is parsed, and nothing waits
-- for the end of a message or a stream. Chunks in the middle of a message are not even copied.
-- setBytes makes a content-length header of the chunk's length, which goes along if the connection to the server was
-- not ready yet. It is wrong for a message of several chunks; the gRPC library of MLServer and Triton ignores it.
local function appendix(name)
  local size = #name
  local length = size < 128 and string.char(size) or string.char(size % 128 + 128, math.floor(size / 128))
  return "\10" .. length .. name .. "\18\0"
end

local function lengthened(prefix, size)
  return string.sub(prefix, 1, 1) .. string.char(
    math.floor(size / 16777216) % 256, math.floor(size / 65536) % 256, math.floor(size / 256) % 256, size % 256)
end

local function rename_messages(handle, name)
  local tail = appendix(name)
  local missing, prefix = 0, "" -- of the message that has begun, of the five bytes before the next one
  for chunk in handle:bodyChunks() do
    local length = chunk:length()
    if missing > length then
      missing = missing - length
    elseif length > 0 then
      local data, out, at = chunk:getBytes(0, length), {}, 1
      while at <= length do
        local whole
        if missing > 0 then
          local piece = string.sub(data, at, at + missing - 1)
          at, missing = at + #piece, missing - #piece
          out[#out + 1] = piece
          whole = missing == 0
        else
          local piece = string.sub(data, at, at + 4 - #prefix)
          at, prefix = at + #piece, prefix .. piece
          if #prefix == 5 then
            local _, a, b, c, d = string.byte(prefix, 1, 5)
            missing = ((a * 256 + b) * 256 + c) * 256 + d
            out[#out + 1] = lengthened(prefix, missing + #tail)
            prefix = ""
            whole = missing == 0
          end
        end
        if whole then out[#out + 1] = tail end
      end
      chunk:setBytes(table.concat(out))
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
