/** `esper dlq` against a real bus with the real desk, and an actor that fails until it is told not to. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startDeadLetters } from "../../src/actors/dead-letters.ts";
import { startGate } from "../../src/actors/gate.ts";
import type { ActorPorts } from "../../src/actors/shell.ts";
import { startWarden } from "../../src/actors/warden.ts";
import type { Bus } from "../../src/bus/bus.ts";
import { runCommandLine } from "../../src/cli/program.ts";
import { ControlConfig } from "../../src/contracts/config.ts";
import { BreakerConfig, RetryConfig } from "../../src/contracts/config-calls.ts";
import { silentLog } from "../../src/contracts/ports.ts";
import { createLetterTeller } from "../../src/node/dead-letters.ts";
import { createResilience } from "../../src/resilience/resilience.ts";
import { openDatabase } from "../../src/store/database.ts";
import { createDeadLetterStore } from "../../src/store/dead-letters.ts";
import { createGateStore } from "../../src/store/gate-store.ts";
import { migrations } from "../../src/store/migrations.ts";
import { createRunStore } from "../../src/store/sqlite-run-store.ts";
import { createWardenStore } from "../../src/store/warden-store.ts";
import type { RunningChild } from "../../src/supervision/spec.ts";
import { clock, startTestServer, type TestServer, until } from "../bus/support.ts";
import { testLedger } from "../store/support.ts";
import { createTestContext } from "./context.ts";
import { report } from "./samples.ts";

let server: TestServer;
const children: RunningChild[] = [];
const buses: Bus[] = [];
const database = openDatabase({ file: ":memory:", migrations, busyTimeoutMs: 100 });
const letters = createDeadLetterStore({ database, lettersMax: 100 });
const handled: string[] = [];
let broken = true;

const call = async (...args: string[]) => {
  const under = createTestContext(async () => ({ report, exitCode: 0 }));
  const exitCode = await runCommandLine([...args, "--data-dir", server.dataDir], under.context);
  return { exitCode, out: under.out.text(), err: under.err.text() };
};

const publish = async (runId: string): Promise<void> => {
  const sent = await buses[0]!.publish("system.events.run", { kind: "paused", runId, epoch: 1 }, { messageId: `id-of-${runId}` });
  expect(sent).toEqual({ kind: "sent" });
};

beforeAll(async () => {
  let supervisor: Bus | undefined;
  const teller = createLetterTeller({ bus: () => supervisor, clock, log: silentLog, letterBytesMax: 10_000 });
  server = await startTestServer({
    durable: { deliveriesMax: 2, retryMsMin: 5, retryMsMax: 10 },
    onDeadLetter: (letter) => teller.tell(letter),
  });
  supervisor = await server.oona.connect("supervisor");
  const [tolaria, nissa] = [await server.oona.connect("tolaria"), await server.oona.connect("nissa")];
  buses.push(tolaria, nissa, supervisor);
  const ports: ActorPorts = {
    connect: (name) => server.oona.connect(name),
    clock,
    log: silentLog,
    mailboxMessagesMax: 100,
    resilience: createResilience({
      breaker: BreakerConfig.parse({}),
      retry: RetryConfig.parse({}),
      clock,
      uniform: () => 0.5,
    }),
    onDeadLetter: () => undefined,
  };
  const control = ControlConfig.parse({});
  const ledger = testLedger(database);
  const runs = createRunStore({ database, ledger, idempotencyMs: 300_000, outboxMessagesMax: 1_000, boundariesMax: 4 });
  const windows = createGateStore({ database, loginsMax: 100 });
  const store = createWardenStore({ database });
  children.push(
    await startDeadLetters(ports, letters),
    await startGate(ports, { runs, windows, control, requestTimeoutMs: 5_000 }),
    await startWarden(ports, { store, control, rememberedMs: 300_000, learnedAt: new Map() }),
  );
  await nissa.subscribe("system.events.run", (_, { id }) => {
    if (broken) throw new Error("the\u001b[31m disk is full");
    handled.push(id);
  });
});
afterAll(async () => {
  for (const child of children) await child.stop("the test ends");
  for (const bus of buses) await bus.close();
  await server.stop();
  database.close();
});

test("esper performance shows what was measured, and a dash for what was not", async () => {
  const nissa = buses[1]!;
  const breaker = { calls: 3, succeeded: 2, failed: 1, cancelled: 0, inFlight: 0, rejected: 4, opened: 1 };
  const latency = { samples: 3, p50Ms: 1.26, p95Ms: 9, p99Ms: 9, maxMs: 9 };
  const queue = { mailboxDepth: 2, mailboxDepthMax: 7, processed: 0, deadLetters: 0, processingMsTotal: 0, processingMsMax: 0 };
  const performance = {
    atMs: 1,
    breakers: [
      { name: "download", state: "CLOSED" as const, ...breaker, calls: 0 },
      {
        name: "lane.forge",
        state: "OPEN" as const,
        ...breaker,
        latency,
        lastError: "the forge lane\u001b[31m was lost",
        lastErrorAtMs: 1,
      },
    ],
    queues: [{ actor: "esper/nissa", ...queue }],
  };
  const answering = await nissa.respond("query.performance", async () => performance);
  const { exitCode, out } = await call("performance");
  expect(exitCode).toBe(0);
  expect(out).toMatch(/download.*CLOSED.*0.*1.*4.*–.*–.*–/);
  expect(out).toMatch(/lane\.forge.*OPEN.*3.*1.*4.*1\.3.*9\.0.*the forge lane \[31m was lost/);
  expect(out).toMatch(/esper\/nissa.*2.*7.*0.*0.*–/);
  expect(JSON.parse((await call("performance", "--json", "--as", "observer")).out)).toEqual(performance);
  await answering.close();
  expect((await call("performance")).exitCode).toBe(5);
});

describe("esper dlq", () => {
  test("without letters it says so", async () => {
    expect(await call("dlq", "list")).toMatchObject({ exitCode: 0, out: "no dead letters\n" });
  });

  test("list and show what died, for people and as JSON, without control characters", async () => {
    await publish("r-1");
    await publish("r-2");
    await until(() => letters.count() === 2, "both died");
    const { exitCode, out } = await call("dlq", "list");
    expect(exitCode).toBe(0);
    expect(out).toMatch(/1.*waiting.*nissa.*system\.events\.run.*handed over 2 times, the last time: the \[31m disk is full/);
    expect(out).not.toContain("\u001b[31m disk");
    const json = JSON.parse((await call("dlq", "list", "--json", "--limit", "1", "--after", "1")).out);
    expect(json).toMatchObject({ kind: "letters", kept: 2, letters: [{ id: 2, messageId: "id-of-r-2", retries: 0 }] });
    expect((await call("dlq", "list", "--for", "urza")).out).toBe("none of the 2 dead letters\n");
    const shown = await call("dlq", "show", "1");
    expect(shown.out).toContain('"runId": "r-1"');
    expect(JSON.parse((await call("dlq", "show", "1", "--json")).out)).toMatchObject({ envelope: { id: "id-of-r-1" } });
  });

  test("retry in vain counts; once the actor works the message is handled with its own id, and once", async () => {
    expect((await call("dlq", "retry", "1")).out).toBe("1: id-of-r-1 was put on system.events.run again\n");
    await until(() => letters.find(1)?.occurrences === 2, "it died again");
    broken = false;
    expect((await call("dlq", "retry", "1", "2")).exitCode).toBe(0);
    await until(() => handled.length === 2, "both are handled");
    expect(handled).toEqual(["id-of-r-1", "id-of-r-2"]);
    const { letters: kept } = JSON.parse((await call("dlq", "list", "--json")).out);
    expect(kept).toMatchObject([
      { id: 1, state: "retried", occurrences: 2, retries: 2 },
      { id: 2, state: "retried", occurrences: 1, retries: 1 },
    ]);
  });

  test("drop forgets; what is not there is refused with 7", async () => {
    expect(await call("dlq", "drop", "1", "2")).toMatchObject({ exitCode: 0, out: "1: dropped\n2: dropped\n" });
    for (const args of [
      ["show", "1"],
      ["retry", "1"],
      ["drop", "1"],
    ])
      expect(await call("dlq", ...args)).toMatchObject({
        exitCode: 7,
        out: expect.stringContaining("there is no dead letter 1"),
      });
  });

  test("wrong arguments end with 2, a role that may not with 7", async () => {
    for (const args of [[], ["list", "--limit", "501"], ["show", "x"], ["retry"], ["retry", "0"]])
      expect((await call("dlq", ...args)).exitCode, args.join(" ")).toBe(2);
    const { exitCode, out } = await call("dlq", "drop", "1", "--as", "observer");
    expect([exitCode, out]).toEqual([7, expect.stringContaining("refused (forbidden): dead_letter is for admin, operator")]);
    expect((await call("dlq", "list", "--as", "observer")).exitCode).toBe(0);
  });
});
