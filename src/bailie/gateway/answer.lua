-- Puts the caller's name of a model back into the address that a server redirects to: the server's own name of the
-- version is no name for callers. Off for the usual calls (routes.py), whose answers redirect nowhere.

function envoy_on_response(handle)
  local headers = handle:headers()
  local location, route = headers:get("location"), headers:get("x-seldon-route")
  if location == nil or route == nil then return end
  local version = string.match(route, "^:(.*):$")
  local model = string.match(version or "", "^(.+)_%d+$")
  if model == nil then return end
  local pattern = "/v2/models/" .. string.gsub(version, "[%-%.]", "%%%0") .. "%f[/?#%z]"
  headers:replace("location", (string.gsub(location, pattern, "/v2/models/" .. model)))
end
