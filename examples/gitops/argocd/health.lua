-- The health of a MachineVersion, as its conditions tell it (docs/gitops.md).
-- Suspended means that a person is waited for: the preview is there, and nobody has approved it yet.
local asks_a_person = { AwaitingApproval = true, PreviewChanged = true }

local status = obj.status or {}
if status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "The operator has not looked at this generation yet" }
end

local ready, stalled
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Ready" then ready = condition end
  if condition.type == "Stalled" and condition.status == "True" then stalled = condition end
end
if ready == nil then
  return { status = "Progressing", message = "The operator has not said anything yet" }
end

local health = { status = "Progressing", message = ready.reason .. ": " .. (ready.message or "") }
if stalled ~= nil then
  health.status = "Degraded"
elseif ready.status == "True" then
  health.status = "Healthy"
elseif asks_a_person[ready.reason] then
  health.status = "Suspended"
end
return health
