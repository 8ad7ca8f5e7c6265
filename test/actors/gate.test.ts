/** The one path of every command: Gate, Warden and Kasmina together, through restarts. */
import { describe, expect, it } from "vitest";
import type { CommandReceipt } from "../../src/contracts/commands.ts";
import { idempotencyMs, type Sent, startControl } from "./control.ts";

const pause: Sent = { kind: "pause", requestId: "p" };
const grow = (requestId: string): Sent => ({ kind: "germinate", requestId, seedId: "seed:h2", toSite: "h3" });
const codeOf = (receipt: CommandReceipt): string => (receipt.kind === "refused" ? receipt.code : receipt.kind);

describe("the path", () => {
  it("D1 D2 from a person to the machine and back, told with login, role, transport and trace", async () => {
    const world = await startControl();
    expect(await world.send("operator", grow("g"))).toMatchObject({ kind: "accepted", requestId: "g", appliesAtEpoch: 2 });
    const [told] = world.sent("system.events.command");
    expect(told).toMatchObject({ sender: "operator", role: "operator", transport: "nats", receipt: { kind: "accepted" } });
    const first = (subject: string) => world.broker.sent.find((each) => each.subject === subject);
    const asked = first("control.kasmina.commands")!;
    expect(told!.traceId).toBe(asked.traceId);
    for (const subject of ["control.warden.reviews", "control.kasmina.admitted"]) {
      expect(first(subject)).toMatchObject({ sender: "gate", traceId: asked.traceId });
      // D5
      expect(first(subject)!.deadlineAtMs).toBeLessThanOrEqual(asked.deadlineAtMs!);
    }
    await world.next();
    expect(world.sent("system.events.seed")).toMatchObject([{ seedId: "seed:h2", to: "GERMINATED" }]);
  });

  it("what a role may not is refused before anybody else hears of it", async () => {
    const world = await startControl();
    expect(codeOf(await world.send("observer", grow("g")))).toBe("forbidden");
    expect(codeOf(await world.send("anonymous", { kind: "budget", requestId: "b" }))).toBe("forbidden");
    expect((await world.send("anonymous", { kind: "status", requestId: "s" })).kind).toBe("status");
    expect(world.sent("control.warden.reviews")).toEqual([]);
    expect(world.sent("control.kasmina.admitted")).toHaveLength(1);
  });

  it("a question does not trouble the Warden", async () => {
    const world = await startControl();
    await world.kill("warden");
    expect((await world.send("observer", { kind: "status", requestId: "s" })).kind).toBe("status");
    expect((await world.send("observer", { kind: "budget", requestId: "b" })).kind).toBe("budget");
    expect(await world.send("observer", { kind: "escalations", requestId: "e" })).toMatchObject({ escalations: [] });
  });

  it("D4 while Warden or Kasmina is away a command is refused with a code, and the same one is accepted later", async () => {
    const world = await startControl();
    await world.kill("warden");
    expect(codeOf(await world.send("operator", pause))).toBe("unavailable");
    await world.restart("warden");
    await world.kill("kasmina");
    expect(codeOf(await world.send("operator", pause))).toBe("no_run");
    await world.restart("kasmina");
    expect((await world.send("operator", pause)).kind).toBe("accepted");
  });
});

describe("one request id", () => {
  it("sent a thousand times at once has one effect and a thousand equal receipts", async () => {
    const world = await startControl();
    const receipts = await world.sendAll("operator", Array<Sent>(1_000).fill(grow("once")));
    expect(receipts[0]!.kind).toBe("accepted");
    expect(new Set(receipts.map((receipt) => JSON.stringify(receipt))).size).toBe(1);
    expect(world.runs.pendingCommands("r-1")).toHaveLength(1);
    await world.next();
    expect(world.sent("system.events.seed").filter(({ to }) => to === "GERMINATED")).toHaveLength(1);
    expect(world.sent("control.kasmina.admitted")).toHaveLength(1);
  });

  it("is remembered across restarts of Gate, Warden and Kasmina for its five minutes, and for one command alone", async () => {
    const world = await startControl();
    const first = await world.send("operator", grow("p"));
    expect(first.kind).toBe("accepted");
    for (const name of ["gate", "kasmina", "warden"] as const) {
      await world.restart(name);
      expect(await world.send("operator", grow("p")), name).toEqual(first);
      expect(await world.send("admin", grow("p")), name).toEqual(first);
      expect(codeOf(await world.send("operator", { kind: "resume", requestId: "p" })), name).toBe("request_id_used");
    }
    // With Kasmina gone altogether, what she said is still known.
    await world.kill("kasmina");
    expect(await world.send("operator", grow("p"))).toEqual(first);
    await world.restart("kasmina");
    await world.next();
    await world.clock.advance(idempotencyMs);
    expect(codeOf(await world.send("operator", grow("p")))).toBe("illegal_transition");
  });
});

describe("rates", () => {
  it.each([
    ["anonymous", 5],
    ["observer", 20],
    ["developer", 30],
    ["operator", 50],
    ["admin", 100],
  ] as const)("%s: exactly %i in a minute, also when the Gate is restarted in between", async (role, most) => {
    const world = await startControl();
    const ask = (n: number): Sent => ({ kind: "status", requestId: `s${n}` });
    const half = Math.floor(most / 2);
    const before = await world.sendAll(
      role,
      Array.from({ length: half }, (_, n) => ask(n)),
    );
    await world.restart("gate");
    const after = await world.sendAll(
      role,
      Array.from({ length: most }, (_, n) => ask(half + n)),
    );
    const kinds = [...before, ...after].map(codeOf);
    expect(kinds.filter((kind) => kind === "status")).toHaveLength(most);
    expect(kinds.slice(most)).toEqual(Array(half).fill("rate"));
    await world.clock.advance(60_000);
    expect((await world.send(role, ask(9_999))).kind).toBe("status");
  });

  it("are counted for each login; a repeated id costs nothing", async () => {
    const world = await startControl({ control: { commandsPerMinuteMax: { operator: 2, admin: 1 } } });
    const first = await world.send("operator", pause);
    for (let n = 0; n < 10; n++) expect(await world.send("operator", pause)).toEqual(first);
    expect((await world.send("operator", { kind: "status", requestId: "s" })).kind).toBe("status");
    expect(codeOf(await world.send("operator", { kind: "status", requestId: "t" }))).toBe("rate");
    expect((await world.send("admin", { kind: "status", requestId: "t" })).kind).toBe("status");
  });

  it("the Gate's memory of logins is bounded", async () => {
    const world = await startControl({ control: { loginsMax: 16 } });
    expect(world.database.prepare("SELECT COUNT(*) AS n FROM gate_windows").get()).toMatchObject({ n: 0 });
    for (let n = 0; n < 16; n++)
      world.database
        .prepare("INSERT INTO gate_windows (login, start_ms, count) VALUES (?, ?, 1)")
        .run(`x:${n}`, world.clock.nowMs());
    expect(codeOf(await world.send("operator", pause))).toBe("rate");
    await world.clock.advance(61_000);
    expect((await world.send("operator", pause)).kind).toBe("accepted");
    expect(world.database.prepare("SELECT COUNT(*) AS n FROM gate_windows").get()).toMatchObject({ n: 1 });
  });
});

it("a deadline that is past is not acted upon", async () => {
  const world = await startControl();
  const bus = await world.broker.connect("operator");
  const outcome = await bus.request("control.kasmina.commands", pause, { deadlineAtMs: world.clock.nowMs() });
  expect(outcome.kind).toBe("timeout");
  expect(world.sent("control.kasmina.admitted")).toEqual([]);
});
