-- Finds the model in the body of a call of OpenAI's API: the field "model" of a JSON object, without reading more of
-- the object than its brackets and quotes. A body in which servers could disagree about the field (twice there, or a
-- name of a field is written with escapes) has none. listener.py writes this above naming.lua and request.lua.

local MAX_STEPS = 262144 -- brackets, texts and quotes in texts of one body
local MAX_FIELDS = 1000 -- of the object itself: the API has about fifty
local MAX_WORD = 1000 -- bytes of the name of a field with what is around it, and of a value that is no text
local BACKSLASH, QUOTE = 92, '"'
local DEPTHS = { ["["] = 1, ["{"] = 1, ["]"] = -1, ["}"] = -1, [QUOTE] = 0 }
local OPENAI = {
  ["chat/completions"] = true, completions = true, embeddings = true, ["images/generations"] = true,
}

-- Returns the place after a text whose quote is at `at`, nil where the text does not end.
local function after_text(text, at, budget)
  local quote = at
  while budget.steps > 0 do
    budget.steps = budget.steps - 1
    quote = string.find(text, QUOTE, quote + 1, true)
    if quote == nil then return nil end
    local first = quote
    while string.byte(text, first - 1) == BACKSLASH do first = first - 1 end
    if (quote - first) % 2 == 0 then return quote + 1 end
  end
end

-- Returns the place after the list or object that begins at `at`, nil where it does not end. Each mark is looked for
-- by itself, as plain bytes: between marks may be megabytes of numbers, and patterns take a hundred times as long.
local function after_nested(text, at, budget)
  local depth, places = 0, {}
  for mark in pairs(DEPTHS) do places[mark] = at - 1 end
  while budget.steps > 0 do
    budget.steps = budget.steps - 1
    local found
    for mark, place in pairs(places) do
      if place < at then
        place = string.find(text, mark, at, true) or #text + 1
        places[mark] = place
      end
      if found == nil or place < places[found] then found = mark end
    end
    if places[found] > #text then return nil end
    if found == QUOTE then
      at = after_text(text, places[found], budget)
      if at == nil then return nil end
    else
      depth = depth + DEPTHS[found]
      at = places[found] + 1
      if depth == 0 then return at end
    end
  end
end

local function after_value(text, at, budget)
  local first = string.sub(text, at, at)
  if first == QUOTE then return after_text(text, at, budget) end
  if DEPTHS[first] == 1 then return after_nested(text, at, budget) end
  local stop = string.find(string.sub(text, at, at + MAX_WORD), "[,}%s]")
  return stop and at + stop - 1
end

-- Returns the name, and the places of the quotes around it; nil where the text is no object that has one.
local function model_in(text)
  local budget, fields = { steps = MAX_STEPS }, 0
  local at = string.match(text, "^%s*{%s*()")
  local name, first, last
  while at ~= nil and string.sub(text, at, at) ~= "}" do
    fields = fields + 1
    local key, value = string.match(string.sub(text, at, at + MAX_WORD), '^"([^"\\]*)"%s*:%s*()')
    if key == nil or fields > MAX_FIELDS then return nil end
    value = at + value - 1
    local stop = after_value(text, value, budget)
    if not stop then return nil end
    if key == "model" then
      if name ~= nil or stop - value > MAX_WORD then return nil end
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
