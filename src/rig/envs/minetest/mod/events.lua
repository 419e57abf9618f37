-- What has happened since the last tick.
local places = ...
local events = {}
local list = {}

local function note(kind, facts)
    facts.kind = kind
    list[#list + 1] = facts
end

function events.take()
    local taken = list
    list = {}
    return taken
end

minetest.register_on_dignode(function(pos, old)
    note("dug", {node = old.name, at = places.list(pos)})
end)

minetest.register_on_placenode(function(pos, new)
    note("placed", {node = new.name, at = places.list(pos)})
end)

minetest.register_on_punchnode(function(pos, node)
    note("punched", {node = node.name, at = places.list(pos)})
end)

minetest.register_on_craft(function(stack)
    note("crafted", {item = stack:get_name(), count = stack:get_count()})
end)

minetest.register_on_item_eat(function(_, _, stack)
    note("eaten", {item = stack:get_name()})
end)

minetest.register_on_player_hpchange(function(_, change, reason)
    note("health", {change = change, reason = reason.type})
end)

minetest.register_on_dieplayer(function(_, reason)
    note("died", {reason = reason and reason.type or "unknown"})
end)

return events
