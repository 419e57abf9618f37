-- What a player would point at who looked in some direction. The client points by angles and places that are finer than
-- those it tells, so that of a ray past an edge only the client knows what it meets: one that is sure meets the same
-- node wherever within that fineness it runs.
local pointing = {}
local FINENESS = 0.1 -- degrees
local BESIDE = {{FINENESS, FINENESS}, {FINENESS, -FINENESS}, {-FINENESS, FINENESS}, {-FINENESS, -FINENESS}}

function pointing.eye_of(player)
    local eye = player:get_pos()
    eye.y = eye.y + player:get_properties().eye_height
    return eye
end

function pointing.yaw_of(player)
    return (360 - math.deg(player:get_look_horizontal())) % 360
end

function pointing.pitch_of(player)
    return math.deg(player:get_look_vertical())
end

-- The first node on a ray of `range` nodes, as a pointed thing; nil where there is none.
function pointing.met(eye, pitch, yaw, range)
    local down, right = math.rad(pitch), math.rad(yaw)
    local along = {x = math.sin(right) * math.cos(down), y = -math.sin(down), z = math.cos(right) * math.cos(down)}
    for thing in minetest.raycast(eye, vector.add(eye, vector.multiply(along, range)), false, false) do
        if thing.type == "node" then
            return thing
        end
    end
end

function pointing.is_sure(eye, pitch, yaw, range, node)
    for _, turn in ipairs(BESIDE) do
        local thing = pointing.met(eye, pitch + turn[1], yaw + turn[2], range)
        if not thing or not vector.equals(thing.under, node) then
            return false
        end
    end
    return true
end

return pointing
