-- The way from joining to the first frame: the world around is generated, sent and drawn, and the player stands.
local beginning = {}
local RADIUS = 16
local QUIET = 12 -- ticks without news from the world
local LIMIT = 400 -- ticks, where the world never comes to rest
local generated, ticks, quiet, bulk_before = false, 0, 0, 0

minetest.send_join_message = function() end
minetest.get_server_status = function()
    return ""
end

minetest.register_on_joinplayer(function(player)
    player:hud_set_hotbar_itemcount(9)
    player:hud_set_hotbar_image("") -- the game's own picture has eight places
    local bars = minetest.settings:get_bool("rig_bars", true)
    player:hud_set_flags({minimap = false, hotbar = bars, healthbar = bars, breathbar = bars})
    local here = player:get_pos()
    local low, high = vector.subtract(here, RADIUS), vector.add(here, RADIUS)
    minetest.emerge_area(low, high, function(_, _, left)
        generated = left == 0
    end)
end)

local function is_still(player)
    local velocity = player:get_velocity()
    return math.abs(velocity.x) + math.abs(velocity.y) + math.abs(velocity.z) < 0.01
end

function beginning.is_over(player, bulk)
    ticks = ticks + 1
    quiet = (generated and bulk == bulk_before and is_still(player)) and quiet + 1 or 0
    bulk_before = bulk
    return quiet >= QUIET or ticks >= LIMIT
end

return beginning
