-- Finds out for whom a call is where neither the header nor the path says it, and has Envoy look up the route of that
-- name: the model in a gRPC message or in the body of a call of OpenAI's API, or the namespace (namespace_routes.py).
-- The filter after this one (request.lua) sees the new route. Calls whose header or path names a model and that are
-- no others of it never come here (routes.py). Must do what tests/support/matching.py says (tests compare the two).

local EXTRACTED = "envoy.filters.http.grpc_field_extraction"
local LIST_MILLISECONDS = 5000
local MAX_LIST_REQUEST = 1000 -- bytes of a request for the list that are looked at, or passed on

-- The header is what Envoy looks at.
local function route_to(handle, name)
  handle:headers():replace("seldon-model", "/v2/models/" .. name)
  handle:clearRouteCache()
  handle:streamInfo():dynamicMetadata():set("bailie", "found_late", true) -- request_metrics.py
end

-- Says whether a name may get into the header: it has no characters but those of models' names.
local function may_be_a_model(name)
  return #name <= MAX_NAME and string.find(name, "^[%w.-]+$") ~= nil
end

local function name_in_message(handle)
  local found = handle:streamInfo():dynamicMetadata():get(EXTRACTED) or {}
  local name = found.model_name or found.name
  if type(name) == "table" then name = name[1] end
  return type(name) == "string" and name or ""
end

local function is_compressed(headers)
  local encoding = headers:get("grpc-encoding")
  return encoding ~= nil and encoding ~= "identity"
end

-- The call goes to the scheduler, which must not have to read whatever strangers send.
local function list_over_grpc(handle, headers)
  if is_compressed(headers) then return as_grpc(handle, TEXT.not_decoded) end
  if #whole_body(handle) > MAX_LIST_REQUEST then return as_grpc(handle, TEXT.no_list_request) end
  route_to(handle, NO_MODEL)
end

local function on_grpc(handle, headers)
  local method = headers:get(":path")
  if method == "/inference.GRPCInferenceService/RepositoryIndex" then return list_over_grpc(handle, headers) end
  if not METHODS[method] then return route_to(handle, NO_MODEL) end
  if asked_for(headers) ~= nil then return end
  if is_compressed(headers) then return as_grpc(handle, TEXT.not_decoded) end
  local name = name_in_message(handle)
  if name == "" then return as_grpc(handle, TEXT.not_named) end
  if not may_be_a_model(name) then return as_grpc(handle, not_found(name)) end
  route_to(handle, name)
end

local function on_openai(handle, path, asked)
  if asked == nil then
    local name = model_in(whole_body(handle))
    if name == nil then return as_openai(handle, TEXT.body_names_none) end
    if not may_be_a_model(name) then return as_openai(handle, not_found(name)) end
    route_to(handle, name)
  end
  handle:headers():replace(":path", path)
end

-- The list of models, which the scheduler has: the message of its answer is the JSON.
local function list_models(handle, method, as, message)
  local headers, body = handle:httpCall(INDEX_CLUSTER, {
    [":method"] = "POST", [":path"] = "/bailie.Models/" .. method, [":authority"] = INDEX_CLUSTER,
    ["content-type"] = "application/grpc", te = "trailers",
  }, "\0\0\0\0" .. string.char(#message) .. message, LIST_MILLISECONDS)
  if headers[":status"] ~= "200" or body == nil or #body <= 5 then return as(handle, TEXT.no_list) end
  handle:respond({ [":status"] = "200", ["content-type"] = "application/json" }, string.sub(body, 6))
end

local function list_index(handle)
  local only_ready = string.find(string.sub(whole_body(handle), 1, MAX_LIST_REQUEST), '"ready"%s*:%s*true') ~= nil
  list_models(handle, "Index", as_rest, only_ready and "\16\1" or "")
end

-- A pipeline by a path of its own, which becomes that of its name. A header that names another one wins.
local function on_pipeline(handle, headers, pipeline, rest)
  local name = pipeline .. ".pipeline"
  if asked_for(headers) == nil then
    if not may_be_a_model(name) then return as_rest(handle, not_found(name)) end
    route_to(handle, name)
  end
  headers:replace(":path", "/v2/models/" .. name .. rest)
end

local function on_rest(handle, headers)
  local path = headers:get(":path")
  local pipeline, of_pipeline = string.match(path, "^/v2/pipelines/([^/?#]+)(.*)$")
  if pipeline ~= nil then return on_pipeline(handle, headers, pipeline, of_pipeline) end
  local plain = string.match(path, "^([^?#]*[^/?#])/*") or "/"
  local openai = string.match(plain, "^/v2/models/[^/]+/infer/(.+)$")
    or string.match(plain, "^/v2/models/[^/]+/infer_stream/(.+)$")
  -- Another mesh gets the path as it came.
  if OPENAI[openai] and handle:filterContext():get("elsewhere") == nil then
    return headers:replace(":path", "/v1/" .. openai)
  end
  if string.find(path, "^/v2/models/[^/?#]") then return end
  openai = string.match(plain, "^/v1/(.+)$")
  if OPENAI[openai] then return on_openai(handle, plain, asked_for(headers)) end
  if openai == "models" then return list_models(handle, "OpenAI", as_openai, "") end
  if plain == "/v2/repository/index" then return list_index(handle) end
  if plain ~= path then headers:replace(":path", plain) end
  route_to(handle, NO_MODEL)
end

function envoy_on_request(handle)
  local headers = handle:headers()
  if is_grpc(headers) then on_grpc(handle, headers) else on_rest(handle, headers) end
end
