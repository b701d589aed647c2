// Spawns an actor, sends it events, and follows what happens to it. Start `make run` first, then: npm ci && npm start
import { randomUUID } from "node:crypto";
import createClient from "openapi-fetch";
import type { components, paths } from "./statekeep.js";

type Schemas = components["schemas"];
type Line = Schemas["ActorChangeResponse"] | Schemas["DeploymentChangeResponse"] | Schemas["BookmarkResponse"];

const server = process.env.STATEKEEP_SERVER ?? "http://127.0.0.1:8080";
const token = process.env.STATEKEEP_TOKEN;
const api = createClient<paths>({
  baseUrl: `${server}/v1`,
  headers: token ? { Authorization: `Bearer ${token}` } : {},
});

/** Returns what a call answered; a problem says in `detail` what went wrong. */
function answer<T>(result: { data?: T; error?: { type: string; detail: string } }): T {
  if (result.data === undefined) throw new Error(`${result.error?.type}: ${result.error?.detail}`);
  return result.data;
}

/** Sends an event; cut off, it is sent again with the same key, and so it is done once. */
async function send(id: string, type: string): Promise<Schemas["AnswerResponse"]> {
  const key = randomUUID();
  for (let pause = 100; ; pause *= 2) {
    try {
      const result = await api.POST("/actors/{id}/events", {
        params: { path: { id }, header: { "Idempotency-Key": key } },
        body: { type },
      });
      if (result.response.status !== 503 || pause > 10_000) return answer(result);
    } catch (error) {
      if (!(error instanceof TypeError) || pause > 10_000) throw error; // what fetch throws if nobody answers
    }
    await new Promise((resolve) => setTimeout(resolve, pause * Math.random()));
  }
}

/** Yields the lines behind a cursor, until the server ends the stream: come back with the last one. */
async function* changes(after: string, follow: boolean): AsyncGenerator<Line> {
  const result = await api.GET("/changes", { params: { query: { after, follow } }, parseAs: "stream" });
  const stream = answer<ReadableStream<Uint8Array> | null>(result);
  if (!stream) return;
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream as unknown as AsyncIterable<Uint8Array>) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const value = JSON.parse(line) as Line | Schemas["ProblemResponse"];
      if (!("kind" in value)) throw new Error(value.detail);
      yield value;
    }
  }
}

let cursor = "now";
for await (const line of changes(cursor, false)) cursor = line.cursor;

const id = `erin-${randomUUID()}`;
const actor = answer(
  await api.POST("/actors", {
    params: { header: { "Idempotency-Key": randomUUID() } },
    body: { id, machine: "loan", context: { name: "Erin" } },
  }),
);
console.log(`spawned in ${actor.state} on ${actor.version}`);
for (const type of ["START_APPLICATION", "SUBMIT_INFO"]) {
  const { state, seq } = await send(id, type);
  console.log(`${type} → ${state} (seq ${seq})`);
}
for await (const line of changes(cursor, true)) {
  cursor = line.cursor;
  if (line.kind === "bookmark" || line.kind === "deployment" || line.actor !== id) continue;
  console.log(`${line.kind}: ${line.state} (seq ${line.seq})`);
  if (line.seq === 2) break; // a backend goes on, and keeps the cursor
}
