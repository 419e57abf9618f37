-- Places as they go to and fro between the mod and Python: [x, y, z].
local places = {}

function places.list(pos)
    return {pos.x, pos.y, pos.z}
end

function places.lists(nodes)
    local found = {}
    for index, pos in ipairs(nodes) do
        found[index] = places.list(pos)
    end
    return found
end

function places.position(given)
    return {x = given[1], y = given[2], z = given[3]}
end

return places
