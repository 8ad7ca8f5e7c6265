/** Whatever a login sends over NATS to a whole node: an answer of a known form, no change, and the node goes on. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { natsMessages, subjectsOf } from "../../bench/fuzz-input.ts";
import { type FuzzNode, startFuzzNode } from "../../bench/fuzz-node.ts";
import { type FuzzSender, openFuzz } from "../../bench/fuzz-send.ts";
import { openWire, type Wire } from "../../bench/fuzz-wire.ts";
import { readOperatorFile } from "../../src/bus/operator-file.ts";
import { inboxPrefix } from "../../src/bus/permissions.ts";
import { personRoles } from "../../src/contracts/roles.ts";

let node: FuzzNode;
let fuzz: FuzzSender;
let wire: Wire;
beforeAll(async () => {
  node = await startFuzzNode();
  fuzz = openFuzz(node.target);
  const { url, user = "", password = "" } = await readOperatorFile(node.target.dataDir, "anonymous");
  wire = await openWire({ url, user, password, inbox: `${inboxPrefix("anonymous")}.t` }, 10_000);
}, 60_000);
afterAll(async () => {
  wire.close();
  fuzz.close();
  await node.stop();
}, 30_000);

const status = { subject: "control.kasmina.commands.anonymous", body: '{"kind":"status","requestId":"s"}', asks: true };

describe("headers that are none", () => {
  it.each([
    ["a name with a blank", "NATS/1.0\r\nbad name: x\r\n\r\n"],
    ["no name", "NATS/1.0\r\n: nameless\r\n\r\n"],
    ["a name of nulls", "NATS/1.0\r\n\u0000: \u0000\r\n\r\n"],
    ["no version", "\r\n"],
    ["nothing", ""],
  ])("%s: the message is answered as one without headers", async (_, head) => {
    const answer = await wire.send({ ...status, head });
    expect(answer.kind === "message" && JSON.parse(answer.body.toString())).toMatchObject({ kind: "status", requestId: "s" });
  });
});

it("600 messages of every role on every subject that it may publish on: an answer each, no change, no dead letter", async () => {
  const messages = natsMessages(2_000, 600);
  for (const role of personRoles)
    for (const subject of subjectsOf(role))
      expect(
        messages.some((each) => each.role === role && each.subject.startsWith(subject)),
        `${role} on ${subject}`,
      ).toBe(true);
  const before = { changes: node.changes(), state: await node.state() };
  const { sent, failures, outcomes } = await fuzz.send("nats", 2_000, 600);
  expect(failures).toEqual([]);
  expect(sent).toBe(600);
  // Not all at the door: some get as far as the Gate, and some are asked too late.
  for (const outcome of ["denied by the server", "refused 400", "refused 408", "refused forbidden"])
    expect(outcomes[outcome] ?? 0, outcome).toBeGreaterThan(5);
  expect(node.changes()).toBe(before.changes);
  expect(await node.state()).toEqual(before.state);
  expect(node.trouble).toEqual([]);
}, 60_000);
