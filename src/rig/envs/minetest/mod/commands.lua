-- What an agent's keeper may ask of the world, by name; nothing else is carried out.
local places = ...
local position = places.position
local commands = {}
local known = {}

function known.teleport(player, command)
    player:set_pos(position(command.position))
end

function known.look(player, command)
    player:set_look_horizontal(math.rad((360 - command.yaw) % 360))
    player:set_look_vertical(math.rad(command.pitch))
end

function known.inventory(player, command)
    local inventory = player:get_inventory()
    inventory:set_list("main", {})
    for _, slot in ipairs(command.slots) do
        local stack = ItemStack({name = slot.item, count = slot.count or 1, wear = slot.wear or 0})
        assert(stack:is_known(), "unknown item " .. slot.item)
        inventory:set_stack("main", slot.slot, stack)
    end
end

function known.set_node(_, command)
    assert(minetest.registered_nodes[command.node], "unknown node " .. command.node)
    minetest.set_node(position(command.position), {name = command.node, param2 = command.param2 or 0})
end

function known.get_node(_, command)
    return minetest.get_node(position(command.position)).name
end

function known.health(player, command)
    player:set_hp(command.health)
end

function known.time_of_day(_, command)
    minetest.set_timeofday(command.time_of_day)
end

function commands.add(more)
    for name, command in pairs(more) do
        known[name] = command
    end
end

local function run_one(player, command)
    local wanted = known[command.name]
    if not wanted then
        return {done = false, error = "unknown command " .. tostring(command.name)}
    end
    local done, result = pcall(wanted, player, command)
    if done then
        return {done = true, value = result}
    end
    return {done = false, error = tostring(result)}
end

function commands.run(player, wanted)
    local answers = {}
    for index, command in ipairs(wanted) do
        answers[index] = run_one(player, command)
    end
    return answers
end

return commands
