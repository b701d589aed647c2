// Hydrates snapshots in the real `xstate` package: one JSON object a line in, one a line out.
import { createInterface } from "node:readline";
import { createActor, createMachine } from "xstate";

for await (const line of createInterface({ input: process.stdin })) {
  const { definition, snapshot, events } = JSON.parse(line);
  const actor = createActor(createMachine(definition), { snapshot });
  const seen = [];
  const report = () => {
    const { status, value, context, historyValue, error } = actor.getPersistedSnapshot();
    seen.push({ status, value, context, historyValue, error: error && String(error) });
  };
  actor.subscribe({ error: () => {} });
  actor.start();
  report();
  for (const type of events) {
    actor.send({ type });
    report();
  }
  process.stdout.write(JSON.stringify(seen) + "\n");
}
