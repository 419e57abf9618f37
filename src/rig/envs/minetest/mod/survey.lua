-- Looks for places where tasks can begin: first in what the generator promises, without generating anything, then spot
-- by spot in what it has generated. Nothing is changed.
local places = ...
local position = places.position
local survey = {}
local JUMP, DROP = 1, 2 -- nodes that a walk may go up or down in a step
local TRUNK = 4 -- nodes of a trunk that is worth chopping
local GRASS_RADIUS, GRASS_MOST = 8, 16
local DIRT_RADIUS = 4
local SNOW_RADIUS = 12
local DEEPEST, HIGHEST = 10, 16 -- nodes that are looked at below and above a spot
local SIDES = {{x = 1, y = 0, z = 0}, {x = -1, y = 0, z = 0}, {x = 0, y = 0, z = 1}, {x = 0, y = 0, z = -1}}
local generated = true

local function definition(pos)
    return minetest.registered_nodes[minetest.get_node(pos).name] or {groups = {}, walkable = true}
end

local function above(pos, nodes)
    return {x = pos.x, y = pos.y + (nodes or 1), z = pos.z}
end

local function in_group(pos, group)
    return (definition(pos).groups[group] or 0) > 0
end

function survey.is_clear(pos)
    local node = definition(pos)
    return not node.walkable and (node.liquidtype or "none") == "none" and (node.damage_per_second or 0) == 0
end

local function is_ground(pos)
    return definition(pos).walkable and not in_group(pos, "leaves") and not in_group(pos, "tree")
end

function survey.can_stand(pos)
    return survey.is_clear(pos) and survey.is_clear(above(pos)) and definition(above(pos, -1)).walkable
end

-- Where a player stands in the column of x and z, or nil: below leaves, and not in water.
local function stand(x, z, low, high)
    for y = high, low, -1 do
        local here = {x = x, y = y, z = z}
        if is_ground(here) then
            local feet = above(here)
            return survey.can_stand(feet) and feet or nil
        elseif (definition(here).liquidtype or "none") ~= "none" then
            return nil
        end
    end
end

function survey.way(from, to, margin)
    return minetest.find_path(from, to, margin, JUMP, DROP, "A*_noprefetch")
end

-- Snow lies as thin layers on the ground, which the engine's path finder takes for whole nodes.
local function is_snowy(places)
    for _, pos in ipairs(places) do
        if in_group(pos, "snowy") or in_group(above(pos, -1), "snowy") then
            return true
        end
    end
    return false
end

local function is_near_snow(spot)
    return #minetest.find_nodes_in_area(vector.subtract(spot, SNOW_RADIUS), vector.add(spot, SNOW_RADIUS), {"group:snowy"}) > 0
end

-- Whether there is room about the head: leaves at the edge of what is generated at once may hang a node lower when the
-- neighbourhood is generated in another order.
local function has_room(spot)
    for x = -1, 1 do
        for z = -1, 1 do
            local beside = {x = spot.x + x, y = spot.y, z = spot.z + z}
            if not (survey.is_clear(above(beside)) and survey.is_clear(above(beside, 2))) then
                return false
            end
        end
    end
    return true
end

-- The places beside a node, at its height, where one can stand.
function survey.standing_beside(node)
    local found = {}
    for _, side in ipairs(SIDES) do
        local beside = vector.add(node, side)
        if survey.can_stand(beside) then
            found[#found + 1] = beside
        end
    end
    return found
end

-- The shortest walk to beside a node, as a list of places; nil where there is none.
function survey.way_beside(from, node, margin)
    local best
    for _, goal in ipairs(survey.standing_beside(node)) do
        local path = vector.equals(goal, from) and {goal} or survey.way(from, goal, margin)
        if path and (not best or #path < #best) then
            best = path
        end
    end
    return best
end

function survey.nearest_first(from, nodes)
    table.sort(nodes, function(a, b)
        local near, far = vector.distance(from, a), vector.distance(from, b)
        if near ~= far then
            return near < far
        end
        return minetest.hash_node_position(a) < minetest.hash_node_position(b)
    end)
    return nodes
end

local function is_foot_of_tree(pos)
    for height = 1, TRUNK - 1 do
        if not in_group(above(pos, height), "tree") then
            return false
        end
    end
    return in_group(above(pos, -1), "soil")
end

local function feet_of_trees(low, high)
    local found = {}
    for _, pos in ipairs(minetest.find_nodes_in_area(low, high, {"group:tree"})) do
        if is_foot_of_tree(pos) then
            found[#found + 1] = pos
        end
    end
    return found
end

-- Steps to beside the nearest tree, of the three nearest ones.
local function tree_from(spot, trees)
    local sorted = survey.nearest_first(spot, table.copy(trees))
    for index = 1, math.min(3, #sorted) do
        local path = survey.way_beside(spot, sorted[index], 8)
        if path then
            return #path
        end
    end
end

local function reachable_grass(spot)
    local reach = {x = GRASS_RADIUS, y = 2, z = GRASS_RADIUS}
    local low, high = vector.subtract(spot, reach), vector.add(spot, reach)
    local tufts = survey.nearest_first(spot, minetest.find_nodes_in_area(low, high, {"group:grass"}))
    local count = 0
    for index = 1, math.min(GRASS_MOST, #tufts) do
        local tuft = tufts[index]
        count = count + ((vector.equals(tuft, spot) or survey.way(spot, tuft, 4)) and 1 or 0)
    end
    return count
end

local function open_dirt(spot)
    local low, high = vector.subtract(spot, DIRT_RADIUS), vector.add(spot, DIRT_RADIUS)
    return #minetest.find_nodes_in_area_under_air(low, high, {"group:soil"})
end

-- Nodes straight below that a hand can dig, and that a pickaxe can: no hole, no liquid, none beside them either.
local function depths(spot)
    local soft, firm = 0, 0
    for depth = 1, DEEPEST do
        local here = above(spot, -depth)
        for _, side in ipairs(SIDES) do
            if not definition(vector.add(here, side)).walkable then
                return soft, firm
            end
        end
        if not definition(here).walkable then
            return soft, firm
        end
        local crumbles = in_group(here, "crumbly")
        soft = soft + ((crumbles and soft == depth - 1) and 1 or 0)
        firm = depth
    end
    return soft, firm
end

local function air_above(spot)
    for height = 0, HIGHEST do
        if not survey.is_clear(above(spot, height)) then
            return height
        end
    end
    return HIGHEST
end

-- One of eight places so far away that can be walked to, or nothing.
local function far_from(spot, far, low, high)
    for turn = 0, 7 do
        local x = math.floor(spot.x + far * math.sin(turn * math.pi / 4) + 0.5)
        local z = math.floor(spot.z + far * math.cos(turn * math.pi / 4) + 0.5)
        local there = stand(x, z, low, high)
        local path = there and survey.way(spot, there, 6)
        if path and not is_snowy(path) then
            return {there.x, there.y, there.z}
        end
    end
    return {}
end

local function facts_of(spot, trees, command)
    local soft, firm = depths(spot)
    return {
        at = {spot.x, spot.y, spot.z},
        soil = in_group(above(spot, -1), "soil"),
        tree = tree_from(spot, trees) or -1,
        grass = reachable_grass(spot),
        dirt = open_dirt(spot),
        soft = soft,
        firm = firm,
        air = air_above(spot),
        far = far_from(spot, command.roam, command.low[2], command.high[2]),
    }
end

-- Places on the ground in one of the biomes, nearest to the middle of the world first.
function survey.scout(_, command)
    local wanted, found = {}, {}
    for _, name in ipairs(command.biomes) do
        wanted[minetest.get_biome_id(name)] = name
    end
    local function look(x, z)
        local height = minetest.get_spawn_level(x, z)
        local biome = height and wanted[minetest.get_biome_data({x = x, y = height, z = z}).biome]
        if biome and #found < command.most then
            found[#found + 1] = {x, height, z}
        end
    end
    look(0, 0)
    for ring = 1, command.rings do
        for along = 1 - ring, ring do -- each corner belongs to one side
            for _, at in ipairs({{along, -ring}, {ring, along}, {-along, ring}, {-ring, -along}}) do
                look(at[1] * command.spacing, at[2] * command.spacing)
            end
        end
    end
    return found
end

function survey.generate(_, command)
    generated = false
    minetest.emerge_area(position(command.low), position(command.high), function(_, _, left)
        generated = left == 0
    end)
end

function survey.is_generated()
    return generated
end

-- Spots to stand on in a generated area, and what lies about each.
function survey.spots(_, command)
    local found, low, high = {}, position(command.low), position(command.high)
    local trees = feet_of_trees(low, high)
    for x = low.x + command.margin, high.x - command.margin, command.spacing do
        for z = low.z + command.margin, high.z - command.margin, command.spacing do
            local spot = stand(x, z, low.y, high.y)
            if spot and has_room(spot) and not is_near_snow(spot) then
                found[#found + 1] = facts_of(spot, trees, command)
            end
        end
    end
    return found
end

return survey
