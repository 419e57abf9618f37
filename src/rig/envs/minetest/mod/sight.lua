-- What a task's teacher looks for, as long as something is watched for: the wanted nodes near the player, those that are
-- in view and in reach, and the way to a goal or to beside the nearest of them. All is by the player's place of this tick.
local survey = ...
local sight = {}
local REACH, MOST, TRIES, MARGIN = 3.7, 32, 4, 8
local AHEAD = 12
local CORNERS = {{0.35, 0.35}, {0.35, -0.35}, {-0.35, 0.35}, {-0.35, -0.35}}
local watched, walked_from, walk -- `walk` is the way from where, and to what, `walked_from` says

local function list(pos)
    return {pos.x, pos.y, pos.z}
end

local function lists(nodes)
    local found = {}
    for index, pos in ipairs(nodes) do
        found[index] = list(pos)
    end
    return found
end

function sight.watch(_, command)
    watched, walked_from = command, nil
end

local function feet_of(player)
    local pos = player:get_pos()
    pos.y = pos.y + 0.5
    return vector.round(pos)
end

local function eye_of(player)
    local eye = player:get_pos()
    eye.y = eye.y + player:get_properties().eye_height
    return eye
end

local function wanted_near(feet)
    if #watched.nodes == 0 then
        return {}
    end
    local reach = {x = watched.radius, y = 5, z = watched.radius}
    local found = minetest.find_nodes_in_area(vector.subtract(feet, reach), vector.add(feet, reach), watched.nodes)
    local sorted, nearest = survey.nearest_first(feet, found), {}
    for index = 1, math.min(MOST, #sorted) do
        nearest[index] = sorted[index]
    end
    return nearest
end

-- The middle of what can be pointed at of a node: grass is lower than its node.
local function middle_of(node)
    local definition = minetest.registered_nodes[minetest.get_node(node).name] or {}
    local box = (definition.selection_box or {}).fixed
    if type(box) ~= "table" or type(box[1]) ~= "number" then
        return node
    end
    return vector.add(node, {x = (box[1] + box[4]) / 2, y = (box[2] + box[5]) / 2, z = (box[3] + box[6]) / 2})
end

local function is_seen(eye, node, middle)
    local beyond = vector.add(eye, vector.multiply(vector.direction(eye, middle), REACH + 0.3))
    for thing in minetest.raycast(eye, beyond, false, false) do
        return thing.type == "node" and vector.equals(thing.under, node)
    end
    return false
end

local function seen_of(eye, nodes)
    local seen = {}
    for _, node in ipairs(nodes) do
        local middle = middle_of(node)
        if vector.distance(eye, middle) < REACH and is_seen(eye, node, middle) then
            seen[#seen + 1] = {at = list(node), middle = list(middle)}
        end
    end
    return seen
end

local function way_from(feet, nodes)
    if watched.goal then
        local goal = {x = watched.goal[1], y = watched.goal[2], z = watched.goal[3]}
        return survey.way(feet, goal, MARGIN)
    end
    for index = 1, math.min(TRIES, #nodes) do
        local way = survey.way_beside(feet, nodes[index], MARGIN)
        if way then
            return way
        end
    end
end

-- Whether a player as wide as ours can walk straight from a place to the middle of a node at the same height.
local function is_free_between(from, to, height)
    local steps = math.ceil(4 * math.max(math.abs(to.x - from.x), math.abs(to.z - from.z)))
    for step = 0, steps do
        local x, z = from.x + (to.x - from.x) * step / steps, from.z + (to.z - from.z) * step / steps
        for _, corner in ipairs(CORNERS) do
            local under = vector.round({x = x + corner[1], y = height, z = z + corner[2]})
            if not survey.can_stand(under) then
                return false
            end
        end
    end
    return true
end

-- The farthest node of the way that can be walked to in a straight line; the next one where none can.
local function heading(from, feet, way)
    local best
    for index = 2, math.min(#way, AHEAD) do
        local node = way[index]
        local is_elsewhere = node.x ~= feet.x or node.z ~= feet.z
        if is_elsewhere and (not best or node.y == feet.y and is_free_between(from, node, feet.y)) then
            best = node
        end
    end
    return best and list(best) or {}
end

function sight.of(player)
    if not watched then
        return nil
    end
    local feet = feet_of(player)
    local nodes = wanted_near(feet)
    local asked = minetest.pos_to_string(feet) .. minetest.pos_to_string(nodes[1] or feet)
    if asked ~= walked_from then
        walked_from, walk = asked, way_from(feet, nodes) or {}
    end
    return {
        feet = list(feet),
        wanted = lists(nodes),
        seen = seen_of(eye_of(player), nodes),
        way = lists(walk),
        heading = heading(player:get_pos(), feet, walk),
    }
end

return sight
