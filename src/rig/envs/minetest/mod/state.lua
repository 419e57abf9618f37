-- The privileged state: what pixels need not show. Angles are in degrees, as MineRL has them: yaw grows to the right
-- (0 looks along +z), pitch downwards. Positions are in nodes, velocities in nodes per second.
local places, pointing = ...
local list = places.list
local state = {}
local REACH = 4
local tick, seconds = 0, 0
local nearby_radius = tonumber(minetest.settings:get("rig_nearby_radius")) or 0

function state.advance(dtime)
    tick = tick + 1
    seconds = seconds + dtime
end

-- Seconds of digging with what is in hand, or -1 where it cannot dig the node.
local function dig_seconds(player, name)
    local groups = (minetest.registered_nodes[name] or {groups = {}}).groups
    for _, tool in ipairs({player:get_wielded_item(), ItemStack("")}) do
        local found = minetest.get_dig_params(groups, tool:get_tool_capabilities())
        if found.diggable then
            return found.time
        end
    end
    return -1
end

local function pointed(player)
    local eye, pitch, yaw = pointing.eye_of(player), pointing.pitch_of(player), pointing.yaw_of(player)
    local range = player:get_wielded_item():get_definition().range or REACH
    local thing = pointing.met(eye, pitch, yaw, range)
    if thing then
        local name = minetest.get_node(thing.under).name
        return {
            node = name,
            under = list(thing.under),
            above = list(thing.above),
            distance = vector.distance(eye, thing.intersection_point),
            is_sure = pointing.is_sure(eye, pitch, yaw, range, thing.under),
            dig_seconds = dig_seconds(player, name),
        }
    end
end

local function slots(player, list_name)
    local found = {}
    for slot, stack in ipairs(player:get_inventory():get_list(list_name)) do
        if not stack:is_empty() then
            found[#found + 1] = {slot = slot, item = stack:get_name(), count = stack:get_count(), wear = stack:get_wear()}
        end
    end
    return found
end

-- Node names in a cube around the player: an index into `names` for each, x fastest, then y, then z.
local function nearby(player)
    local middle = vector.round(player:get_pos())
    local low, high = vector.subtract(middle, nearby_radius), vector.add(middle, nearby_radius)
    local manip = minetest.get_voxel_manip()
    local from, to = manip:read_from_map(low, high)
    local area = VoxelArea:new({MinEdge = from, MaxEdge = to})
    local data, seen, names, nodes = manip:get_data(), {}, {}, {}
    for z = low.z, high.z do
        for y = low.y, high.y do
            for x = low.x, high.x do
                local id = data[area:index(x, y, z)]
                if not seen[id] then
                    names[#names + 1] = minetest.get_name_from_content_id(id)
                    seen[id] = #names - 1
                end
                nodes[#nodes + 1] = seen[id]
            end
        end
    end
    return {low = list(low), high = list(high), names = names, nodes = nodes}
end

function state.of(player)
    local facts = {
        tick = tick,
        seconds = seconds,
        position = list(player:get_pos()),
        velocity = list(player:get_velocity()),
        yaw = pointing.yaw_of(player),
        pitch = pointing.pitch_of(player),
        health = player:get_hp(),
        breath = player:get_breath(),
        wielded = player:get_wielded_item():get_name(),
        hotbar = player:get_wield_index(),
        slots = slots(player, "main"),
        craft = slots(player, "craft"),
        crafts = player:get_inventory():get_stack("craftpreview", 1):get_name(),
        pointed = pointed(player),
        time_of_day = minetest.get_timeofday(),
    }
    if nearby_radius > 0 then
        facts.nearby = nearby(player)
    end
    return facts
end

return state
