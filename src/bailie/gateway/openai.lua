-- Finds the model in the body of a call of OpenAI's API: the field "model" of a JSON object, without reading more of
-- the object than its brackets and quotes. A body in which servers could disagree about the field (twice there, or a
-- name of a field is written with escapes) has none. listener.py writes this above naming.lua and request.lua.

local MAX_STEPS = 262144 -- fields, brackets and texts of one body
local QUOTE, BACKSLASH = 34, 92
local OPENS = { [91] = true, [123] = true }
local OPENAI = {
  ["chat/completions"] = true, completions = true, embeddings = true, ["images/generations"] = true,
}

-- Returns the place after a text whose quote is at `at`, nil where the text does not end.
local function after_text(text, at)
  local quote = at
  while true do
    quote = string.find(text, '"', quote + 1, true)
    if quote == nil then return nil end
    local first = quote
    while string.byte(text, first - 1) == BACKSLASH do first = first - 1 end
    if (quote - first) % 2 == 0 then return quote + 1 end
  end
end

-- Returns the place after the list or object that begins at `at`, nil where it does not end.
local function after_nested(text, at, budget)
  local depth = 0
  while budget.steps > 0 do
    budget.steps = budget.steps - 1
    local place = string.find(text, '[%[%]{}"]', at)
    if place == nil then return nil end
    local found = string.byte(text, place)
    if found == QUOTE then
      at = after_text(text, place)
      if at == nil then return nil end
    else
      depth = depth + (OPENS[found] and 1 or -1)
      at = place + 1
      if depth == 0 then return at end
    end
  end
end

local function after_value(text, at, budget)
  local first = string.byte(text, at)
  if first == QUOTE then return after_text(text, at) end
  if OPENS[first] then return after_nested(text, at, budget) end
  return string.find(text, "[,}%s]", at)
end

-- Returns the name, and the places of the quotes around it; nil where the text is no object that has one.
local function model_in(text)
  local budget = { steps = MAX_STEPS }
  local at = string.match(text, "^%s*{%s*()")
  local name, first, last
  while at ~= nil and string.sub(text, at, at) ~= "}" do
    budget.steps = budget.steps - 1
    local key, value = string.match(text, '^"([^"\\]*)"%s*:%s*()', at)
    local stop = key and budget.steps > 0 and after_value(text, value, budget)
    if not stop then return nil end
    if key == "model" then
      if name ~= nil then return nil end
      name, first, last = string.match(string.sub(text, value, stop - 1), '^"([^"\\]+)"$'), value, stop - 1
      if name == nil then return nil end
    end
    at = string.match(text, "^%s*,%s*()", stop)
  end
  return name, first, last
end

-- Returns the body, which is all kept until then.
local function whole_body(handle)
  local body = handle:body(true)
  return body:length() > 0 and body:getBytes(0, body:length()) or ""
end
