// Steps a second of the real `xstate` package: one JSON object on standard input, one on standard output.
import { readFileSync } from "node:fs";
import { createMachine, initialTransition, transition } from "xstate";

const { definition, events, seconds } = JSON.parse(readFileSync(0, "utf8"));
const machine = createMachine(definition);
let [snapshot] = initialTransition(machine);
const types = events.map((type) => ({ type }));
const round = () => types.forEach((event) => ([snapshot] = transition(machine, snapshot, event)));
for (let i = 0; i < 20; i++) round();
let steps = 0;
const start = performance.now();
while (performance.now() - start < seconds * 1000) {
  round();
  steps += types.length;
}
console.log(JSON.stringify({ steps_per_s: (steps * 1000) / (performance.now() - start) }));
