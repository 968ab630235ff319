-- What naming.lua and request.lua share: listener.py writes this above each of them. The texts are from
-- routing/refusal.py: listener.py writes NAMESPACE, NO_MODEL, KINDS and TEXT above this.

-- Each request runs in a coroutine of its own and calls into Envoy all the time: little can be compiled, and what is
-- tried costs a change of memory protection each time. Interpreted, a request takes less time. Loops over bytes that
-- callers can make long say jit.on for themselves.
jit.off(true, true)

local METHODS = {
  ["/inference.GRPCInferenceService/ModelInfer"] = true,
  ["/inference.GRPCInferenceService/ModelStreamInfer"] = true,
  ["/inference.GRPCInferenceService/ModelMetadata"] = true,
  ["/inference.GRPCInferenceService/ModelReady"] = true,
}
local MAX_NAME = 253

-- The header holds /v2/models/<name>, or the path of a request that came without it (listener.py). Returns nil where
-- neither has a name.
local function asked_for(headers)
  local name = string.match(headers:get("seldon-model") or "", "^/v2/models/([^/]+)")
  if name ~= NO_MODEL then return name end
end

-- Says whether a call is gRPC's.
local function is_grpc(headers)
  local kind = headers:get("content-type")
  return kind == "application/grpc" or (kind ~= nil and string.sub(kind, 1, 17) == "application/grpc+")
end

local function json(text)
  return '"' .. string.gsub(text, '[%c"\\]', function(c) return string.format("\\u%04x", string.byte(c)) end) .. '"'
end

local function shown(name)
  return (string.gsub(string.sub(name, 1, MAX_NAME), '[%c"\\\128-\255]', "?"))
end

-- How a refusal is said to a caller of gRPC, of the V2 protocol, and of OpenAI's API.
local function as_grpc(handle, answer)
  handle:respond({ [":status"] = "200", ["grpc-status"] = answer.grpc }, answer.message)
end

local function as_rest(handle, answer)
  local body = '{"error":' .. json(answer.message) .. ',"reason":' .. json(answer.reason)
    .. ',"model":' .. json(answer.model or "") .. ',"namespace":' .. json(NAMESPACE) .. "}"
  handle:respond({ [":status"] = answer.status, ["content-type"] = "application/json" }, body)
end

local function as_openai(handle, answer)
  local kind = string.sub(answer.status, 1, 1) == "4" and "invalid_request_error" or "server_error"
  local body = '{"error":{"message":' .. json(answer.message) .. ',"type":"' .. kind
    .. '","param":null,"code":' .. json(answer.reason) .. "}}"
  handle:respond({ [":status"] = answer.status, ["content-type"] = "application/json" }, body)
end

-- The name of a pipeline or an experiment ends with its kind.
local function named(name)
  local own, kind = string.match(name, "^(.+)%.(%l+)$")
  return KINDS[kind] and kind .. " " .. own or "model " .. name
end

local function not_found(asked)
  local name = shown(asked)
  local message = string.gsub(TEXT.not_found.message, "%$SUBJECT", function() return named(name) end)
  return { status = "404", grpc = "5", reason = TEXT.not_found.reason, message = message, model = name }
end
