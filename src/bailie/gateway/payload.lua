-- Sends requests and answers of a Model to the sink of its payload log, as CloudEvents 1.0 in binary mode
-- (payload_log.py). Bodies pass chunk by chunk and are never kept back; the event goes out when its body has ended, by
-- a call that nothing waits for. Off for Models without a log (routes.py), and idle where a request has no route yet;
-- stands behind naming.lua, which may look one up, and before request.lua, which writes the name of the version into the
-- message.

jit.off()

local DEADLINE_MILLISECONDS = 2000
local MAX_BODY = 1048576 -- bytes of a body that an event may have
local MAX_HELD = 33554432 -- bytes of all bodies under way that a worker keeps a copy of
local CHUNK = 64 -- bytes that a chunk takes besides its own: a body may come byte by byte
local MAX_SENT = 33554432 -- bytes of bodies that a worker hands over in a second
local INFERENCE = {
  ["/inference.GRPCInferenceService/ModelInfer"] = true,
  ["/inference.GRPCInferenceService/ModelStreamInfer"] = true,
}
local EVENT = "io.seldon.serving.inference."
local METADATA = "bailie.payload"
local VIA = "ce-bailievia" -- the marks of the namespaces through which an event has come, this one's first
local MARK = os.getenv("BAILIE_PAYLOAD_MARK") or "" -- that of this namespace, which callers do not know
local MAX_VIA = 256

-- Of both bounds one Model gets at most as much as it leaves to the others.
local held, held_by, second, sent, sent_by = 0, {}, 0, 0, {}
local collected_at = 0

local function has_room(model, length) return (held_by[model] or 0) + length <= MAX_HELD - held end

-- What callers who left have not given back yet is looked for once a second.
local function make_room()
  local now = os.time()
  if now == collected_at then return end
  collected_at = now
  collectgarbage()
end

local function hold(copy, length)
  if not has_room(copy.model, length) then make_room() end
  if not has_room(copy.model, length) then return false end
  local before = held_by[copy.model] or 0
  held, held_by[copy.model], copy.count[1] = held + length, before + length, copy.count[1] + length
  return true
end

local function give_back(model, count)
  local left = (held_by[model] or 0) - count[1]
  held, held_by[model], count[1] = held - count[1], left > 0 and left or nil, 0
end

-- The copy of a body under way. What it takes is given back with it, also where the request is given up: then nothing
-- is run of the script any more, but its values are collected.
local function new_copy(model)
  local count, guard = { 0 }, newproxy(true)
  getmetatable(guard).__gc = function() give_back(model, count) end
  return { model = model, parts = {}, size = 0, count = count, guard = guard }
end

local function let_go(copy, why)
  give_back(copy.model, copy.count)
  copy.parts, copy.cut = nil, why
end

local function keep(copy, chunk, length)
  copy.size = copy.size + length
  if copy.cut ~= nil then return end
  if copy.size > MAX_BODY then return let_go(copy, "size") end
  if not hold(copy, length + CHUNK) then return let_go(copy, "memory") end
  copy.parts[#copy.parts + 1] = chunk:getBytes(0, length)
end

local function may_send(model, length)
  local now = os.time()
  if now ~= second then second, sent, sent_by = now, 0, {} end
  local before = sent_by[model] or 0
  if before + length > MAX_SENT - sent then return false end
  sent, sent_by[model] = sent + length, before + length
  return true
end

-- Returns the whole body with its size, and why it is missing.
local function collected(handle, model)
  local copy = new_copy(model)
  for chunk in handle:bodyChunks() do
    local length = chunk:length()
    if length > 0 then keep(copy, chunk, length) end
  end
  if copy.cut ~= nil then return "", copy.size, copy.cut end
  local body = table.concat(copy.parts)
  let_go(copy)
  if not may_send(model, #body) then return "", copy.size, "rate" end
  return body, copy.size
end

-- A single message of gRPC goes without the five bytes before it; what is more, or compressed, goes as it is.
local function unframed(kind, body)
  if string.sub(kind, 1, 16) ~= "application/grpc" or #body < 5 then return kind, body end
  local flag, a, b, c, d = string.byte(body, 1, 5)
  if flag ~= 0 or ((a * 256 + b) * 256 + c) * 256 + d ~= #body - 5 then return kind, body end
  return "application/x-protobuf", string.sub(body, 6)
end

-- Events in other modes have their attributes in the body: a caller would write events of whatever Model. A type that is
-- none would have sinks refuse the event, and so would what is no parameter.
local function safe_kind(kind)
  local plain, more = string.match(kind, "^(%w[%w!#$&^_.+-]*/%w[%w!#$&^_.+-]*)%s*(.*)$")
  if plain == nil or string.find(string.lower(kind), "application/cloudevents", 1, true) ~= nil then
    return "application/octet-stream"
  end
  local parameters = string.gsub(more, ";%s*[%w_-]+=[%w!#$&^_.+-]+%s*", "")
  return parameters == "" and kind or plain
end

-- What a caller sent as the request's id, as the id of an event may be. Envoy has given one to a request without it.
local function safe_id(id) return (string.gsub(string.sub(id, 1, 128), "[^!#-$&-~]", "-")) end

-- Returns the marks of a request that is itself an event.
local function marks(headers)
  local found = string.sub(headers:get(VIA) or "", 1, MAX_VIA)
  return string.find(found, "[^%x-]") == nil and found or ""
end

local function header(headers, name) return string.sub(headers:get(name) or "", 1, 256) end

-- Words of a caller that go into attributes, without what no attribute may have.
local function words(headers, name) return (string.gsub(header(headers, name), "[^%w,.;=_*-]", "")) end

-- How the body is compressed, or so its sender says. Under HTTP's own header a sink would expand it, or refuse the event
-- where that fails, by which a caller could keep a request out of the log; and brokers drop what is no attribute.
local function coding(headers)
  local found = string.lower(words(headers, "content-encoding"))
  return found ~= "identity" and found or ""
end

local function event(handle, headers, context, what, id, via)
  local kind, status, coded = header(headers, "content-type"), headers:get(":status"), coding(headers)
  local json = words(headers, "inference-header-content-length")
  if json == "" then json = words(headers, "inference-content-length") end
  local grpc_status, grpc_encoding = headers:get("grpc-status"), words(headers, "grpc-encoding")
  local body, size, cut = collected(handle, context.model)
  kind, body = unframed(kind, body)
  local found = {
    [":method"] = "POST", [":path"] = context.path, [":authority"] = context.authority,
    ["content-type"] = safe_kind(kind),
    ["ce-specversion"] = "1.0", ["ce-id"] = id, ["ce-requestid"] = id, ["ce-type"] = EVENT .. what,
    ["ce-source"] = "/namespaces/" .. NAMESPACE .. "/models/" .. context.model,
    ["ce-time"] = os.date("!%Y-%m-%dT%H:%M:%SZ"),
    ["ce-namespace"] = NAMESPACE, ["ce-inferenceservicename"] = context.model, ["ce-modelid"] = context.version,
    ["ce-endpoint"] = "default", ["ce-bodybytes"] = tostring(size),
  }
  if MARK ~= "" then found[VIA] = string.sub(MARK .. "-" .. via, 1, MAX_VIA) end
  if status ~= nil then found["ce-status"] = status end
  if grpc_status ~= nil then found["ce-grpcstatus"] = grpc_status end
  if cut ~= nil then found["ce-bodycut"] = cut end
  if coded ~= "" then
    found["content-type"], found["ce-contenttype"] = "application/octet-stream", found["content-type"]
    found["ce-contentencoding"] = coded
  end
  if json ~= "" then found["inference-header-content-length"] = json end
  if grpc_encoding ~= "" then found["ce-grpcencoding"] = grpc_encoding end
  -- Where the sink's cluster has just gone with its route, there is nobody to send to.
  pcall(handle.httpCall, handle, context.cluster, found, body, {
    asynchronous = true, timeout_ms = DEADLINE_MILLISECONDS, send_xff = false, trace_sampled = false,
  })
end

local function is_inference(headers)
  if headers:get(":method") ~= "POST" then return false end
  local path = headers:get(":path")
  if INFERENCE[path] then return true end
  local last = string.match(string.match(path, "^[^?#]*"), "/([%w_]+)/*$")
  return last == "infer" or last == "infer_stream" or last == "generate" or last == "generate_stream"
    or last == "completions" or last == "embeddings"
end

-- The values of the route's context, while the route is that of the request.
local function read_context(handle)
  local context = handle:filterContext()
  if context:get("cluster") == nil then return nil end
  return {
    cluster = context:get("cluster"), authority = context:get("authority"), path = context:get("path"),
    percent = tonumber(context:get("percent")), mode = context:get("mode"), model = context:get("model"),
    version = context:get("version"),
  }
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local context = read_context(handle)
  if context == nil or not is_inference(headers) then return end
  -- A sink that is a model itself gets events, which are no requests of their own. Callers may send any header, but
  -- none of them knows the mark.
  local via = marks(headers)
  if MARK ~= "" and string.find(via, MARK, 1, true) ~= nil then return end
  if context.percent < 100 and math.random(100) > context.percent then return end
  local id, chosen = safe_id(headers:get("x-request-id") or ""), handle:streamInfo():dynamicMetadata()
  chosen:set(METADATA, "id", id)
  chosen:set(METADATA, "via", via)
  if context.mode ~= "response" then event(handle, headers, context, "request", id, via) end
end

function envoy_on_response(handle)
  local chosen = handle:streamInfo():dynamicMetadata():get(METADATA)
  if chosen == nil then return end
  local context = read_context(handle)
  if context == nil or context.mode == "request" then return end
  event(handle, handle:headers(), context, "response", chosen.id, chosen.via)
end
