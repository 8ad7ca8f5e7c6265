/** Whatever is sent over HTTP to a whole node, by its sockets: an answer of a known form, no change, and the node goes on. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { type FuzzNode, startFuzzNode } from "../../bench/fuzz-node.ts";
import { type FuzzKind, type FuzzSender, openFuzz } from "../../bench/fuzz-send.ts";
import { Problem } from "../../src/http/problem.ts";

let node: FuzzNode;
let fuzz: FuzzSender;
beforeAll(async () => {
  node = await startFuzzNode();
  fuzz = openFuzz(node.target);
}, 60_000);
afterAll(async () => {
  fuzz.close();
  await node.stop();
}, 30_000);

const expected: Readonly<Record<Exclude<FuzzKind, "nats">, readonly string[]>> = {
  http: ["200", "400", "401", "403", "404", "415"],
  anonymous: ["200", "400", "401", "403", "404", "415"],
  broken: ["400", "413", "417", "431", "closed"],
};

it.each([
  ["http", 500],
  ["anonymous", 200],
  ["broken", 120],
] as const)(
  "%s, %i of them: an answer each, and no change",
  async (kind, count) => {
    const before = { changes: node.changes(), state: await node.state() };
    const { sent, failures, outcomes } = await fuzz.send(kind, 3_000, count);
    expect(failures).toEqual([]);
    expect(sent).toBe(count);
    for (const outcome of expected[kind]) expect(outcomes[outcome] ?? 0, outcome).toBeGreaterThan(0);
    expect(node.changes()).toBe(before.changes);
    expect(await node.state()).toEqual(before.state);
    expect(node.trouble).toEqual([]);
  },
  60_000,
);

it("an expectation that the server does not know is a problem", async () => {
  const { url, tokens } = node.target;
  const { request } = await import("node:http");
  const answer = await new Promise<{ status: number; type: string; text: string }>((resolve, reject) => {
    const headers = { expect: "nonsense", authorization: `Bearer ${tokens.admin}` };
    const sent = request(`${url}/commands`, { method: "POST", headers }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, type: response.headers["content-type"] ?? "", text }));
    });
    sent.on("error", reject);
    sent.end("{}");
  });
  expect(answer.status).toBe(417);
  expect(answer.type).toMatch(/^application\/problem\+json/);
  expect(Problem.parse(JSON.parse(answer.text)).detail).toMatch(/Expect/);
});
