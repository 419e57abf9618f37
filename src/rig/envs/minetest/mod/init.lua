-- Once a tick: carries out the agent's commands, and tells the state of its player.
local insecure = assert(minetest.request_insecure_environment(), "the rig mod must be trusted")
local ffi = insecure.require("ffi")
ffi.cdef([[
    void rig_ready(void);
    int rig_frame_wanted(void);
    int rig_sight_wanted(void);
    uint64_t rig_bulk(void);
    void rig_tell(const char *text, size_t size);
    const char *rig_commands(size_t *size);
]])
local link = ffi.C
local size = ffi.new("size_t[1]")

local folder = minetest.get_modpath("rig")
local places = dofile(folder .. "/places.lua")
local events = assert(loadfile(folder .. "/events.lua"))(places)
local pointing = dofile(folder .. "/pointing.lua")
local state = assert(loadfile(folder .. "/state.lua"))(places, pointing)
local beginning = dofile(folder .. "/beginning.lua")
local commands = assert(loadfile(folder .. "/commands.lua"))(places)
local survey = assert(loadfile(folder .. "/survey.lua"))(places)
local sight = assert(loadfile(folder .. "/sight.lua"))(places, survey, pointing)
local view = assert(loadfile(folder .. "/view.lua"))(pointing)
local begun = false
commands.add({
    scout = survey.scout,
    generate = survey.generate,
    is_generated = survey.is_generated,
    spots = survey.spots,
    watch = sight.watch,
})

local function carry_out(player)
    local text = link.rig_commands(size)
    if size[0] == 0 then
        return nil
    end
    return commands.run(player, minetest.parse_json(ffi.string(text, size[0])))
end

local function tell(player, answers, begins)
    local facts = state.of(player)
    facts.events = events.take()
    facts.answers = answers
    if begins or link.rig_sight_wanted() ~= 0 then
        facts.sight = sight.of(player)
    end
    if begins or link.rig_frame_wanted() ~= 0 then
        facts.view = view.of(player)
    end
    local text = minetest.write_json(facts)
    link.rig_tell(text, #text)
end

minetest.register_globalstep(function(dtime)
    local player = minetest.get_connected_players()[1]
    if not player then
        return
    end
    state.advance(dtime)
    local begins = not begun and beginning.is_over(player, tonumber(link.rig_bulk()))
    tell(player, carry_out(player), begins)
    if begins then
        begun = true
        link.rig_ready()
    end
end)
