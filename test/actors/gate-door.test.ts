/** What the Gate does beside letting commands pass: it tells what it refused, and lets questions by. */
import { describe, expect, it } from "vitest";
import { startGate } from "../../src/actors/gate.ts";
import type { CommandReceipt } from "../../src/contracts/commands.ts";
import { ControlConfig } from "../../src/contracts/config.ts";
import type { RefusedCommands } from "../../src/contracts/ledger.ts";
import type { PersonRole } from "../../src/contracts/roles.ts";
import { type answerers, commandKinds, commandRules } from "../../src/contracts/roles.ts";
import type { AdmittedCommand, WardenVerdict } from "../../src/contracts/subjects.ts";
import { minuteMs } from "../../src/machines/gate.ts";
import { createRefusalTally } from "../../src/machines/refusal-tally.ts";
import { createGateStore } from "../../src/store/gate-store.ts";
import { createRunStore } from "../../src/store/sqlite-run-store.ts";
import { temporaryDatabase, testLedger } from "../store/support.ts";
import { commandExamples } from "../support/commands.ts";
import type { Sent } from "./control.ts";
import { createActorWorld, gate as door } from "./support.ts";

/** The Gate, and everybody behind it played by the test. */
const start = async (review?: (asked: AdmittedCommand) => Promise<WardenVerdict | undefined>, reviewsAtOnceMax = 1) => {
  const world = createActorWorld(2_000);
  const database = temporaryDatabase();
  const ledger = testLedger(database);
  const runs = createRunStore({ database, ledger, idempotencyMs: 300_000, outboxMessagesMax: 10_000, boundariesMax: 4 });
  const control = ControlConfig.parse({});
  const child = await startGate(world.ports, {
    runs,
    windows: createGateStore({ database, loginsMax: 100 }),
    control,
    requestTimeoutMs: 5_000,
  });
  const warden = await world.as("warden");
  await warden.respond(
    "control.warden.reviews",
    async (asked): Promise<WardenVerdict> => {
      const admitted = { by: asked.by, command: asked.command };
      return (await review?.(admitted)) ?? { kind: "pass", admitted };
    },
    { atOnceMax: reviewsAtOnceMax },
  );
  const answered: string[] = [];
  for (const [who, subject] of [
    ["kasmina", "control.kasmina.admitted"],
    ["urza", "control.urza.admitted"],
    ["tamiyo", "control.tamiyo.admitted"],
    ["nissa", "control.nissa.admitted"],
    ["supervisor", "control.node.admitted"],
    ["supervisor", "control.letters.admitted"],
  ] as const) {
    const bus = await world.as(who);
    await bus.respond(subject, async ({ command }): Promise<CommandReceipt> => {
      answered.push(`${command.kind} ${subject}`);
      return { kind: "done", requestId: command.requestId, detail: command.kind };
    });
  }
  const send = async (role: PersonRole, command: Sent): Promise<CommandReceipt> => {
    const bus = await world.broker.connect(role);
    const asked = bus.request("control.kasmina.commands", command, { timeoutMs: 60_000 });
    await world.clock.advance(10);
    const outcome = await asked;
    await bus.close();
    if (outcome.kind !== "reply") throw new Error(`${outcome.kind}: ${outcome.reason}`);
    return outcome.value;
  };
  const refusals = (): RefusedCommands[] =>
    database
      .prepare("SELECT payload FROM ledger WHERE kind = 'refusals' ORDER BY entry_index")
      .all()
      .map((row) => JSON.parse(String(row["payload"])) as RefusedCommands);
  return { ...world, child, send, refusals, answered };
};

describe("D7 what the Gate refuses", () => {
  it("is told in the ledger: one entry for each login, code and minute, also when the Gate ends", async () => {
    const { send, refusals, clock, child } = await start();
    for (let n = 0; n < 7; n += 1) await send("observer", { kind: "pause", requestId: `p${n}` });
    await send("observer", { kind: "stop", requestId: "s" });
    for (let n = 0; n < 31; n += 1) await send("developer", { kind: "cull", seedId: "seed:h1", requestId: `c${n}` });
    expect(refusals()).toEqual([]);
    await clock.advance(minuteMs);
    expect(refusals()).toMatchObject([
      { principal: "observer", role: "observer", transport: "nats", code: "forbidden", count: 8, kinds: { pause: 7, stop: 1 } },
      { principal: "developer", code: "rate", count: 1, kinds: { cull: 1 } },
    ]);
    await send("anonymous", { kind: "pause", requestId: "last" });
    await child.stop("the test is over");
    expect(refusals().at(-1)).toMatchObject({ principal: "anonymous", code: "forbidden", count: 1 });
  });

  it("does not tell of questions, nor of what is answered with its first receipt", async () => {
    const { send, refusals, clock } = await start();
    await send("anonymous", { kind: "budget", requestId: "b" });
    await send("operator", { kind: "pause", requestId: "p" });
    await send("operator", { kind: "pause", requestId: "p" });
    await clock.advance(minuteMs);
    expect(refusals()).toEqual([]);
  });

  it("a flood of logins asks to be told at its bound", () => {
    const tally = createRefusalTally();
    const by = { role: "observer", transport: "http", code: "rate", kind: undefined } as const;
    let full = 0;
    for (let n = 1; full === 0; n += 1)
      if (tally.note({ ...by, principal: `p${n}`, login: `observer:p${n}` }, 1_000).full) full = n;
    expect(full).toBe(1024);
    expect(tally.take()).toHaveLength(1024);
    expect(tally.take()).toEqual([]);
  });
});

describe("D8 changes", () => {
  it("go on in the order in which they came, and none waits for the one before it", async () => {
    const closed = door();
    const { broker, clock, answered } = await start(() => closed.passed.then(() => undefined), 64);
    const operator = await broker.connect("operator");
    const names = Array.from({ length: 9 }, (_, n) => `s${n}`);
    const asked = names.map((requestId, n) =>
      operator.request("control.kasmina.commands", { kind: n % 2 === 0 ? "stop" : "rollback", requestId }, { timeoutMs: 60_000 }),
    );
    await clock.advance(10);
    expect(answered).toEqual([]);
    closed.open();
    await clock.advance(10);
    await Promise.all(asked);
    expect(answered.map((each) => each.split(" ")[0])).toEqual(names.map((_, n) => (n % 2 === 0 ? "stop" : "rollback")));
  });

  it("of one request id wait for the first: one goes on, all get its receipt, and another command under the id is refused", async () => {
    const closed = door();
    let reviews = 0;
    const { broker, clock } = await start(() => {
      reviews += 1;
      return closed.passed.then(() => undefined);
    }, 64);
    const operator = await broker.connect("operator");
    const load = { kind: "kernel_status", requestId: "k", hash: "a".repeat(64), status: "withdrawn" } as Sent;
    const ask = (command: Sent) => operator.request("control.kasmina.commands", command, { timeoutMs: 60_000 });
    const same = Array.from({ length: 20 }, () => ask(load));
    const other = ask({ kind: "pause", requestId: "k" });
    await clock.advance(10);
    closed.open();
    await clock.advance(100);
    const receipts = (await Promise.all(same)).map((outcome) => (outcome.kind === "reply" ? outcome.value : outcome));
    for (const receipt of receipts) expect(receipt).toEqual(receipts[0]);
    expect(receipts[0]).toMatchObject({ kind: "done", requestId: "k" });
    expect(await other).toMatchObject({ value: { kind: "refused", code: "request_id_used" } });
    expect(reviews).toBe(1);
  });
});

describe("D9 a change that was held", () => {
  it("is handed over once, whoever approves it, and whether its sender asks again meanwhile or later", async () => {
    const held: AdmittedCommand = {
      by: { principal: "ada", role: "developer", transport: "http" },
      command: { kind: "kernel_status", requestId: "x", hash: "a".repeat(64), status: "withdrawn", reason: "test" },
    };
    const { broker, clock, answered } = await start(async ({ command }) => {
      if (command.kind !== "approve") return undefined;
      return { kind: "release", admitted: held, receipt: { kind: "done", requestId: command.requestId, detail: "approved" } };
    }, 64);
    const operator = await broker.connect("operator");
    const ask = (command: Sent) => operator.request("control.kasmina.commands", command, { timeoutMs: 60_000 });
    const approve = (requestId: string) => ask({ kind: "approve", requestId, target: "x" });
    const asked = [approve("y1"), approve("y2"), ask(held.command as Sent)];
    await clock.advance(100);
    const late = approve("y3");
    await clock.advance(100);
    for (const outcome of await Promise.all([...asked, late])) expect(outcome).toMatchObject({ value: { kind: "done" } });
    expect(answered).toEqual(["kernel_status control.urza.admitted"]);
  });
});

describe("D8 a question", () => {
  it("is answered while a change before it waits for the Warden", async () => {
    const closed = door();
    const { broker, clock, answered } = await start(() => closed.passed.then(() => undefined));
    const operator = await broker.connect("operator");
    const order: string[] = [];
    const change = operator
      .request("control.kasmina.commands", { kind: "pause", requestId: "p" })
      .then(() => order.push("change"));
    const question = operator
      .request("control.kasmina.commands", { kind: "seeds", requestId: "q", limit: 1 })
      .then(() => order.push("question"));
    await clock.advance(10);
    await question;
    expect(order).toEqual(["question"]);
    closed.open();
    await clock.advance(10);
    await change;
    expect([order, answered.map((each) => each.split(" ")[0])]).toEqual([
      ["question", "change"],
      ["seeds", "pause"],
    ]);
  });
});

describe("D1 every kind of command", () => {
  it("reaches the one who answers it, and nobody else", async () => {
    const { send, answered } = await start();
    const subjectOf = (who: (typeof answerers)[number]): string => `control.${who === "warden" ? "kasmina" : who}.admitted`;
    for (const [n, kind] of commandKinds.entries()) {
      const { answeredBy } = commandRules[kind];
      await send("admin", { ...commandExamples[kind], requestId: `k${n}` } as Sent);
      expect(answered.at(-1)).toBe(`${kind} ${subjectOf(answeredBy)}`);
    }
    expect(answered).toHaveLength(commandKinds.length);
  });
});
