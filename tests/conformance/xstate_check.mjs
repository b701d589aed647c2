// Runs machines through the real `xstate` package: one JSON object a line in, one a line out.
// Every guard is false, every action does nothing, invoked actors never settle, every delay has a length.
import { createInterface } from "node:readline";
import { createMachine, fromPromise, initialTransition, transition } from "xstate";

const MAX_MICROSTEPS = 1000;
const never = fromPromise(() => new Promise(() => {}));
const always = (value) => new Proxy({}, { get: () => value });
console.warn = () => {};

const prepared = (value) =>
  Array.isArray(value)
    ? value.map(prepared)
    : value && typeof value === "object"
      ? { ...value, ...(value.guard ? { guard: () => false } : {}), actions: [] }
      : value;
const each = (object, change) =>
  object && Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value)]));
const actor = (written) => ({ ...written, ...each({ onDone: written.onDone, onError: written.onError }, prepared) });

function state(written) {
  const { entry, exit, ...config } = written;
  for (const member of ["on", "after"]) if (config[member]) config[member] = each(config[member], prepared);
  for (const member of ["always", "onDone"]) if (config[member]) config[member] = prepared(config[member]);
  if (config.invoke) config.invoke = Array.isArray(config.invoke) ? config.invoke.map(actor) : actor(config.invoke);
  if (config.states) config.states = each(config.states, state);
  return config;
}

// The same snapshot with its states in document order: what is left of the order once it has been stored.
function stored(machine, snapshot) {
  const shown = new Set();
  const inside = new Map();
  for (const node of snapshot._nodes) if (node.parent) inside.set(node.parent, [...(inside.get(node.parent) ?? []), node]);
  const visit = (node, value) => {
    shown.add(node);
    if (typeof value === "string") shown.add(node.states[value]);
    else for (const key of Object.keys(value)) visit(node.states[key], value[key]);
  };
  visit(machine.root, snapshot.value);
  const byOrder = (a, b) => a.order - b.order;
  const first = snapshot._nodes.filter((node) => shown.has(node)).sort(byOrder);
  const rest = snapshot._nodes.filter((node) => !shown.has(node)).sort(byOrder);
  const valueOf = (node, value) => {
    if (typeof value === "string") return value;
    const keys = Object.keys(node.states).filter((key) => key in value);
    return Object.fromEntries(keys.map((key) => [key, valueOf(node.states[key], value[key])]));
  };
  return { ...snapshot, _nodes: [...first, ...rest], value: valueOf(machine.root, snapshot.value) };
}

const report = (snapshot, handled) => ({
  value: snapshot.value,
  status: snapshot.status,
  handled,
  historyValue: Object.fromEntries(
    Object.entries(snapshot.historyValue).map(([id, nodes]) => [id, nodes.map((node) => node.id).sort()]),
  ),
});

function play(machine, events, between) {
  const steps = [];
  try {
    let [snapshot] = initialTransition(machine);
    if (snapshot.status === "error") return [{ error: String(snapshot.error) }];
    steps.push(report(snapshot, true));
    for (const type of events) {
      snapshot = between(snapshot);
      const found = snapshot.status === "active" ? machine.getTransitionData(snapshot, { type }) : [];
      // Unhandled, an error event would put the actor into status "error"; here it changes nothing.
      if (snapshot.status === "active" && (found.length || !type.startsWith("xstate.error.actor")))
        [snapshot] = transition(machine, snapshot, { type });
      steps.push(report(snapshot, found.length > 0));
    }
  } catch (error) {
    steps.push({ error: String(error.message ?? error).slice(0, 200) });
  }
  return steps;
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, definition, events } = JSON.parse(line);
  let answer;
  try {
    const config = { ...state(definition), options: { maxIterations: MAX_MICROSTEPS } };
    const machine = createMachine(config, { actors: always(never), delays: always(1e9) });
    answer = { live: play(machine, events, (s) => s), stored: play(machine, events, (s) => stored(machine, s)) };
  } catch (error) {
    answer = { refused: String(error.message ?? error).slice(0, 300) };
  }
  process.stdout.write(JSON.stringify({ id, ...answer }) + "\n");
}
