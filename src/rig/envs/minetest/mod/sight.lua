-- What a task's teacher looks for, as long as something is watched for: the wanted nodes near the player, those that are
-- in view and in reach, and the way to a goal or to beside the nearest of them, of those that the frame shows before any
-- that it does not. All is by the world of this tick, so that it is the same whether or not it was told before.
local places, survey, pointing = ...
local list, lists = places.list, places.lists
local sight = {}
local REACH, MOST, TRIES, MARGIN = 3.7, 64, 8, 8
local GRID = 5 -- degrees between two turns of the camera
local FRAME = 40 -- degrees to each side, and up and down, that surely are in the frame
local AHEAD, UP, DOWN = 12, 1, 2
local HALF_WIDE = 0.29 -- nodes from the middle of a player to its sides
local NEXT = 0.9 -- nodes before which one has to jump
local CORNERS = {{0.35, 0.35}, {0.35, -0.35}, {-0.35, 0.35}, {-0.35, -0.35}}
local watched

function sight.watch(_, command)
    assert(type(command.nodes) == "table", "`nodes` is a list of names of nodes, or of groups")
    watched = command
end

-- Where one stands, or will land.
local function feet_of(player)
    local pos = player:get_pos()
    pos.y = pos.y + 0.5
    local feet = vector.round(pos)
    for drop = 0, DOWN do
        local lower = {x = feet.x, y = feet.y - drop, z = feet.z}
        if survey.can_stand(lower) then
            return lower
        end
    end
    return feet
end

-- Degrees to the right of where the player looks, -180 to 180.
local function beside(player, pos)
    local here = player:get_pos()
    local right = math.deg(math.atan2(pos.x - here.x, pos.z - here.z)) - pointing.yaw_of(player)
    return (right + 180) % 360 - 180
end

-- The nearest first.
local function wanted_near(feet)
    if #watched.nodes == 0 then
        return {}
    end
    local reach = {x = watched.radius, y = 5, z = watched.radius}
    local found = minetest.find_nodes_in_area(vector.subtract(feet, reach), vector.add(feet, reach), watched.nodes)
    return {unpack(survey.nearest_first(feet, found), 1, MOST)}
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

local function on_grid(angle)
    return GRID * math.floor(angle / GRID + 0.5)
end

-- Degrees down and to the right that the camera would turn to look at a point.
local function off(player, eye, point)
    local way = vector.subtract(point, eye)
    local down = -math.deg(math.atan2(way.y, math.sqrt(way.x ^ 2 + way.z ^ 2)))
    return down - pointing.pitch_of(player), beside(player, point)
end

-- The camera's turn to a point, in its own steps.
local function turn_to(player, eye, point)
    local down, right = off(player, eye, point)
    return on_grid(down), on_grid(right)
end

-- Whether the frame shows a node: it is neither out of it nor behind another.
local function is_shown(player, eye, node)
    local middle = middle_of(node)
    local down, right = off(player, eye, middle)
    if math.max(math.abs(down), math.abs(right)) > FRAME then
        return false
    end
    local far = vector.distance(eye, middle) + 1
    local met = pointing.met(eye, pointing.pitch_of(player) + down, pointing.yaw_of(player) + right, far)
    return met ~= nil and vector.equals(met.under, node)
end

-- What is in reach, and surely under the crosshair after a turn of the camera.
local function seen_of(player, nodes)
    local eye, seen = pointing.eye_of(player), {}
    local pitch, yaw = pointing.pitch_of(player), pointing.yaw_of(player)
    for _, node in ipairs(nodes) do
        local middle = middle_of(node)
        if vector.distance(eye, middle) < REACH then
            local down, right = turn_to(player, eye, middle)
            if pointing.is_sure(eye, pitch + down, yaw + right, REACH + 0.3, node) then
                seen[#seen + 1] = {at = list(node), middle = list(middle), turn = {down, right}}
            end
        end
    end
    return seen
end

-- The way to beside the first of the nodes to which there is one.
local function way_to_one(feet, nodes)
    local tried = 0
    for _, node in ipairs(nodes) do
        if tried < TRIES and #survey.standing_beside(node) > 0 then
            tried = tried + 1
            local way = survey.way_beside(feet, node, MARGIN)
            if way then
                return way
            end
        end
    end
end

-- The way to the goal or to one of the nodes, and whether the frame shows which.
local function way_from(player, feet, nodes)
    if watched.goal then
        return survey.way(feet, places.position(watched.goal), MARGIN), false
    end
    local eye, shown, others = pointing.eye_of(player), {}, {}
    for _, node in ipairs(nodes) do
        local known = is_shown(player, eye, node) and shown or others
        known[#known + 1] = node
    end
    local way = way_to_one(feet, shown)
    return way or way_to_one(feet, others), way ~= nil
end

-- Where one stands in the column of a place, coming from a height; nil where one cannot, or should not.
local function support(x, z, height)
    local here = vector.round({x = x, y = height + UP, z = z})
    if survey.can_stand(here) then
        return here.y
    elseif not survey.is_clear(here) then
        return nil
    end
    for _ = 0, DOWN do
        here.y = here.y - 1
        if survey.can_stand(here) then
            return here.y
        elseif not survey.is_clear(here) then
            return nil
        end
    end
end

-- The height of a player as wide as ours who stands at x and z after having stood at a height; nil where it cannot.
local function height_at(x, z, before)
    local highest
    for _, corner in ipairs(CORNERS) do
        local height = support(x + corner[1], z + corner[2], before)
        if not height then
            return nil
        end
        highest = math.max(highest or height, height)
    end
    return highest
end

-- Where a straight walk from a place in the node `feet` to the middle of another one first goes up, in nodes from the
-- place (as far as one sees where it does not); nil where one cannot walk there straight.
local function straight(from, feet, to)
    local length = math.sqrt((to.x - from.x) ^ 2 + (to.z - from.z) ^ 2)
    local steps, height, rise = math.ceil(4 * length), feet.y, AHEAD
    for step = 1, steps do
        local part = step / steps
        local now = height_at(from.x + (to.x - from.x) * part, from.z + (to.z - from.z) * part, height)
        if not now then
            return nil
        end
        if now > height then
            rise = math.min(rise, length * part)
        end
        height = now
    end
    return height == to.y and rise or nil
end

-- The farthest node of the way that can be walked to in a straight line, the next one where none can; and whether one
-- has to jump now.
local function heading(from, feet, way)
    local best, is_up
    for index = 2, math.min(#way, AHEAD) do
        local node = way[index]
        if node.x ~= feet.x or node.z ~= feet.z then
            local rise = straight(from, feet, node)
            if not best or rise then
                best, is_up = node, rise and rise < NEXT or not rise and node.y > feet.y
            end
        end
    end
    return best and list(best) or {}, is_up or false
end

-- The node at a height that is nearest to being straight above or below a player, of those that touch its column; empty
-- where all are clear.
local function touched(player, height)
    local pos, best, nearest = player:get_pos(), nil, math.huge
    for x = -HALF_WIDE, HALF_WIDE, HALF_WIDE do
        for z = -HALF_WIDE, HALF_WIDE, HALF_WIDE do
            local node = vector.round({x = pos.x + x, y = height, z = pos.z + z})
            local off = (node.x - pos.x) ^ 2 + (node.z - pos.z) ^ 2
            if off < nearest and not survey.is_clear(node) then
                best, nearest = node, off
            end
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
    local walk, shows = way_from(player, feet, nodes)
    walk = walk or {}
    local ahead, is_up = heading(player:get_pos(), feet, walk)
    return {
        feet = list(feet),
        ground = touched(player, player:get_pos().y - 0.25), -- one may stand beyond its edge
        roof = touched(player, feet.y + 2), -- one cannot jump
        wanted = lists(nodes),
        seen = seen_of(player, nodes),
        way = lists(walk),
        is_shown = shows, -- what it leads to
        heading = ahead,
        is_up = is_up,
    }
end

return sight
