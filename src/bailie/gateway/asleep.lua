-- Has Envoy look up the route of a request for a version that sleeps once more, by the key whose routes come on demand
-- (asleep.py). Stands behind the filters that may find out that a request is for another name, or for none.

function envoy_on_request(handle)
  local key = handle:filterContext():get("key")
  if key == nil then return end
  handle:streamInfo():dynamicMetadata():set("bailie", "asleep", handle:filterContext():get("name"))
  handle:headers():replace("seldon-model", key)
  handle:clearRouteCache()
end
