-- The privileged state: what pixels need not show. Angles are in degrees, as MineRL has them: yaw grows to the right
-- (0 looks along +z), pitch downwards. Positions are in nodes, velocities in nodes per second.
local state = {}
local REACH = 4
local tick, seconds = 0, 0
local nearby_radius = tonumber(minetest.settings:get("rig_nearby_radius")) or 0

local function list(vector)
    return {vector.x, vector.y, vector.z}
end

function state.advance(dtime)
    tick = tick + 1
    seconds = seconds + dtime
end

function state.eye_of(player)
    local eye = player:get_pos()
    eye.y = eye.y + player:get_properties().eye_height
    return eye
end

local function pointed(player)
    local eye = state.eye_of(player)
    local range = player:get_wielded_item():get_definition().range or REACH
    local far = vector.add(eye, vector.multiply(player:get_look_dir(), range))
    for thing in minetest.raycast(eye, far, false, false) do
        if thing.type == "node" then
            return {
                node = minetest.get_node(thing.under).name,
                under = list(thing.under),
                above = list(thing.above),
                distance = vector.distance(eye, thing.intersection_point),
            }
        end
    end
end

local function slots(player)
    local found = {}
    for slot, stack in ipairs(player:get_inventory():get_list("main")) do
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
        yaw = (360 - math.deg(player:get_look_horizontal())) % 360,
        pitch = math.deg(player:get_look_vertical()),
        health = player:get_hp(),
        breath = player:get_breath(),
        wielded = player:get_wielded_item():get_name(),
        hotbar = player:get_wield_index(),
        slots = slots(player),
        pointed = pointed(player),
        time_of_day = minetest.get_timeofday(),
    }
    if nearby_radius > 0 then
        facts.nearby = nearby(player)
    end
    return facts
end

return state
