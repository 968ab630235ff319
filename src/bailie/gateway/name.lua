-- Gives a REST request the header seldon-model from its path. Skipped (by the route) when the caller sent the
-- header of a known model: the header decides. Runs as a filter of its own because a filter's view of the
-- route is taken when it starts; request.lua, which comes next, sees the route that is found from here.
function envoy_on_request(handle)
  local headers = handle:headers()
  local given = headers:get("seldon-model")
  if given ~= nil and given ~= "" then return end
  local name = string.match(headers:get(":path"), "^/v2/models/([^/?#]+)")
  if name ~= nil then
    headers:replace("seldon-model", name)
    handle:clearRouteCache()
  end
end
