/** Approvals, vetoes and learning's limits on the path of every command, through restarts. */
import { describe, expect, it } from "vitest";
import type { CommandReceipt } from "../../src/contracts/commands.ts";
import { idempotencyMs, type Sent, startControl } from "./control.ts";

const grow = (requestId: string): Sent => ({ kind: "germinate", requestId, seedId: "seed:h2", toSite: "h3" });
const codeOf = (receipt: CommandReceipt): string => (receipt.kind === "refused" ? receipt.code : receipt.kind);
const approvals = {
  rules: [
    { commands: ["germinate"], from: ["developer", "operator"], by: ["operator", "admin"] },
    { commands: ["learn"], from: ["admin"], by: ["operator"] },
  ],
  waitingMax: 2,
  expiryMs: 10_000,
};
const approve = (target: string, requestId = `a-${target}`): Sent => ({ kind: "approve", requestId, target });
const veto = (target: string, requestId = `v-${target}`): Sent => ({ kind: "veto", requestId, target, reason: "no" });

describe("a command that needs approval", () => {
  it("waits, also across restarts; with the word it takes effect once, as its sender's", async () => {
    const world = await startControl({ control: { approvals } });
    const held = await world.send("developer", grow("g"));
    expect(held).toMatchObject({
      kind: "held",
      approvers: ["operator", "admin"],
      expiresAtMs: world.clock.nowMs() + 10_000 - 10,
    });
    expect(world.sent("control.kasmina.admitted")).toEqual([]);
    for (const name of ["gate", "warden"] as const) await world.restart(name);
    expect(await world.send("developer", grow("g"))).toEqual(held);
    expect(await world.send("observer", { kind: "approvals", requestId: "l" })).toMatchObject({
      approvals: [{ requestId: "g", state: "waiting", principal: "developer" }],
    });
    const done = await world.send("operator", approve("g"));
    expect(done).toMatchObject({ kind: "done", detail: expect.stringContaining("takes effect at window 2") });
    expect(await world.send("operator", approve("g"))).toEqual(done);
    // The sender's own id now has the machine's receipt.
    expect(await world.send("developer", grow("g"))).toMatchObject({ kind: "accepted" });
    await world.next();
    expect(world.sent("system.events.seed")).toMatchObject([{ to: "GERMINATED" }]);
    const told = world.sent("system.events.command").map(({ command, sender, receipt }) => [command.kind, sender, receipt.kind]);
    expect(told).toEqual([
      ["germinate", "developer", "held"],
      ["germinate", "developer", "accepted"],
      ["approve", "operator", "done"],
    ]);
  });

  it("who asked does not approve, nor who is not named; another command under its id is refused", async () => {
    const world = await startControl({ control: { approvals } });
    await world.send("operator", grow("g"));
    expect(codeOf(await world.send("operator", approve("g")))).toBe("forbidden");
    expect(codeOf(await world.send("developer", approve("g")))).toBe("forbidden");
    expect(codeOf(await world.send("operator", { ...grow("g"), toSite: "output" } as Sent))).toBe("request_id_used");
    expect(codeOf(await world.send("operator", approve("other")))).toBe("unknown_request");
    expect((await world.send("admin", approve("g", "b"))).kind).toBe("done");
  });

  it("is bounded, and expires", async () => {
    const world = await startControl({ control: { approvals } });
    for (const id of ["g1", "g2"]) expect((await world.send("developer", grow(id))).kind).toBe("held");
    expect(codeOf(await world.send("developer", grow("g3")))).toBe("limit");
    await world.clock.advance(10_000);
    expect(codeOf(await world.send("operator", approve("g1")))).toBe("expired");
    expect(codeOf(await world.send("developer", grow("g1")))).toBe("expired");
    expect((await world.send("developer", grow("g3"))).kind).toBe("held");
    expect(world.sent("control.kasmina.admitted")).toEqual([]);
    // Once nobody remembers it, the id is free again.
    await world.clock.advance(idempotencyMs);
    expect((await world.send("developer", grow("g1"))).kind).toBe("held");
  });

  it("is vetoed: nothing happens, and its sender is told so", async () => {
    const world = await startControl({ control: { approvals } });
    await world.send("developer", grow("g"));
    expect((await world.send("admin", veto("g"))).kind).toBe("done");
    expect(codeOf(await world.send("developer", grow("g")))).toBe("vetoed");
    expect(codeOf(await world.send("operator", approve("g")))).toBe("vetoed");
    expect(world.sent("control.kasmina.admitted")).toEqual([]);
  });

  it("approved and then refused by the machine is told as refused; while the run is away the word may be given again", async () => {
    const world = await startControl({ control: { approvals } });
    await world.send("developer", grow("g"));
    await world.kill("kasmina");
    expect(codeOf(await world.send("operator", approve("g")))).toBe("no_run");
    await world.restart("kasmina");
    expect((await world.send("operator", approve("g"))).kind).toBe("done");
    await world.send("developer", { ...grow("h"), seedId: "seed:h1" } as Sent);
    expect(await world.send("operator", approve("h"))).toMatchObject({
      code: "lock_held",
      reason: expect.stringMatching(/^approved, and/),
    });
  });
});

it("a veto also stops what was accepted and waits for its boundary", async () => {
  const world = await startControl();
  expect((await world.send("operator", grow("g"))).kind).toBe("accepted");
  expect((await world.send("admin", veto("g"))).kind).toBe("accepted");
  await world.next();
  expect(world.sent("system.events.seed")).toEqual([]);
  expect(world.sent("system.events.command").at(-1)).toMatchObject({
    command: { requestId: "g" },
    sender: "kasmina",
    receipt: { code: "vetoed" },
  });
});

it("a pin holds for commands that come after it, across a restart of Kasmina", async () => {
  const world = await startControl();
  expect((await world.send("developer", { kind: "pin", requestId: "p", target: "h2" })).kind).toBe("accepted");
  await world.restart("kasmina");
  expect(codeOf(await world.send("operator", grow("g")))).toBe("pinned");
  await world.next();
  await world.restart("kasmina");
  expect(codeOf(await world.send("operator", grow("h")))).toBe("pinned");
  expect(await world.send("observer", { kind: "status", requestId: "s" })).toMatchObject({ run: { holds: { pins: ["h2"] } } });
});

describe("learning", () => {
  const learn = (requestId: string): Sent => ({ kind: "learn", requestId, change: "policy" });
  const control = { learning: { changesPerDayMax: 2, cooldownMs: 1_000 } };

  it("D3 changes as often as its limits allow, across restarts", async () => {
    const world = await startControl({ control });
    expect((await world.send("admin", learn("c1"))).kind).toBe("done");
    expect((await world.send("admin", learn("c1"))).kind).toBe("done");
    expect(codeOf(await world.send("operator", learn("c2")))).toBe("forbidden");
    expect(codeOf(await world.send("admin", learn("c2")))).toBe("governance");
    await world.restart("warden");
    expect(codeOf(await world.send("admin", learn("c3")))).toBe("governance");
    await world.clock.advance(1_000);
    expect((await world.send("admin", learn("c4"))).kind).toBe("done");
    await world.clock.advance(3_600_000);
    await world.restart("warden");
    expect(codeOf(await world.send("admin", learn("c5")))).toBe("governance");
    expect(await world.send("observer", { kind: "governance", requestId: "q" })).toMatchObject({
      learning: { changesToday: 2, changesPerDayMax: 2, recent: [{ requestId: "c1" }, { requestId: "c4" }] },
    });
    await world.clock.advance(86_400_000);
    expect((await world.send("admin", learn("c6"))).kind).toBe("done");
  });

  it("may need approval by the role that asks", async () => {
    const world = await startControl({ control: { ...control, approvals } });
    expect((await world.send("admin", learn("c1"))).kind).toBe("held");
    expect(await world.send("observer", { kind: "governance", requestId: "q" })).toMatchObject({ learning: { changesToday: 0 } });
    expect((await world.send("operator", approve("c1"))).kind).toBe("done");
    expect(await world.send("observer", { kind: "governance", requestId: "r" })).toMatchObject({ learning: { changesToday: 1 } });
  });
});
