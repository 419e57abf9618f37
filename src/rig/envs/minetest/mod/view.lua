-- What the frame shows: a node for each cell of a grid over it, with its distance along the line of sight, and of the
-- watched nodes those that stand in the open. Told for ticks of which a frame is wanted.
local pointing = ...
local view = {}
local RANGE = tonumber(minetest.settings:get("viewing_range"))
local cells = tonumber(minetest.settings:get("rig_view_cells")) or 0
local field = {tonumber(minetest.settings:get("rig_view_across")), tonumber(minetest.settings:get("rig_view_upwards"))}
local right, up = math.tan(math.rad(field[1]) / 2), math.tan(math.rad(field[2]) / 2)

-- Unit vectors to the right of, up from and along the line of sight.
local function axes(player)
    local yaw, pitch = player:get_look_horizontal(), player:get_look_vertical()
    local along = player:get_look_dir()
    local across = {x = math.cos(yaw), y = 0, z = math.sin(yaw)}
    local upwards = {x = -math.sin(yaw) * math.sin(pitch), y = math.cos(pitch), z = math.cos(yaw) * math.sin(pitch)}
    return across, upwards, along
end

local function first_node(from, to)
    for thing in minetest.raycast(from, to, false, true) do
        if thing.type == "node" then
            return minetest.get_node(thing.under).name, vector.distance(from, thing.intersection_point)
        end
    end
end

-- Its `field` is the width and height of the view in degrees. Row by row from the top left: an index into `names`, -1 for the sky, and whole nodes of distance.
function view.of(player)
    if cells == 0 then
        return nil
    end
    local across, upwards, along = axes(player)
    local eye = pointing.eye_of(player)
    local known, names, nodes, far = {}, {}, {}, {}
    for row = 1, cells do
        local high = up * (1 - (2 * row - 1) / cells)
        for column = 1, cells do
            local aside = right * ((2 * column - 1) / cells - 1)
            local ray = {
                x = along.x + aside * across.x + high * upwards.x,
                y = along.y + high * upwards.y,
                z = along.z + aside * across.z + high * upwards.z,
            }
            local name, distance = first_node(eye, vector.add(eye, vector.multiply(vector.normalize(ray), RANGE)))
            if name and not known[name] then
                names[#names + 1] = name
                known[name] = #names - 1
            end
            nodes[#nodes + 1] = name and known[name] or -1
            far[#far + 1] = name and math.floor(distance + 0.5) or RANGE
        end
    end
    return {cells = cells, field = field, names = names, nodes = nodes, distances = far}
end

return view
