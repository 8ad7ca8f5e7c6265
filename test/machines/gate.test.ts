/** The Gate's judgement: the whole permission table, rates to the request, ids, deadlines, and whatever anybody may send. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CommandReceipt } from "../../src/contracts/commands.ts";
import { ControlConfig } from "../../src/contracts/config.ts";
import { type CommandKind, commandKinds, type Role, roles, transports } from "../../src/contracts/roles.ts";
import { type GateMemory, type GateRequest, judgeRequest, loginOf, minuteMs, type RateWindow } from "../../src/machines/gate.ts";
import { commandExamples as examples } from "../support/commands.ts";

const control = ControlConfig.parse({});
const traceId = "0".repeat(32);

const ofRun = ["status", "escalations", "budget", "seeds", "seed", "layers", "layer", "policy", "decisions", "analyze"] as const;
const ofLibrary = ["kernels", "kernel", "blueprint", "policies"] as const;
const all = [...ofRun, ...ofLibrary, "approvals", "governance"] as const;
const kernels = ["load_kernel", "unload_kernel", "submit_blueprint"] as const;
const grows = ["germinate", "cull", "release", "pin", "unpin", "transition", "step", "experience", ...kernels] as const;
const ofNode = ["start", "shutdown", "dead_letter", "kernel_status", "checkpoint"] as const;
const steers = ["rollback", "resolve", "pause", "resume", "stop", "limit", "approve", "veto", ...ofNode] as const;
const learns = ["learn", "policy_load", "policy_update"] as const;
/** What each role may, written out again by hand: the table of the program is held to it. */
const may: Readonly<Record<Role, readonly CommandKind[]>> = {
  admin: [...all, ...grows, ...steers, ...learns],
  operator: [...all, ...grows, ...steers],
  developer: [...all, ...grows],
  observer: [...all],
  anonymous: ["status"],
  controller: ["status", "germinate", "experience", ...learns],
};

const nothing: GateMemory = { recall: () => undefined, counted: () => undefined };
const request = (command: unknown, over: Partial<GateRequest> = {}): GateRequest => ({
  by: { principal: "ada", role: "admin", transport: "nats" },
  command,
  bytes: 100,
  traceId,
  ...over,
});
const codeOf = (asked: GateRequest, memory = nothing, nowMs = 1_000): string => {
  const verdict = judgeRequest(asked, memory, control, nowMs);
  if (verdict.kind === "admitted") return "admitted";
  return verdict.receipt.kind === "refused" ? verdict.receipt.code : verdict.receipt.kind;
};

describe("G1 roles and commands", () => {
  it.each(roles)("%s may what the table says and nothing else, over every transport", (role) => {
    for (const kind of commandKinds)
      for (const transport of transports) {
        const code = codeOf(request(examples[kind], { by: { principal: "ada", role, transport } }));
        expect(`${kind} ${code}`).toBe(`${kind} ${may[role].includes(kind) ? "admitted" : "forbidden"}`);
      }
  });

  it("too large, past its deadline, or not a command: each has its code", () => {
    expect(codeOf(request(examples.status, { bytes: control.commandBytesMax }))).toBe("admitted");
    expect(codeOf(request(examples.status, { bytes: control.commandBytesMax + 1 }))).toBe("too_large");
    expect(codeOf(request(examples.pause, { deadlineAtMs: 1_001 }))).toBe("admitted");
    expect(codeOf(request(examples.pause, { deadlineAtMs: 1_000 }))).toBe("deadline");
    expect(codeOf(request({ kind: "explode", requestId: "q" }))).toBe("invalid");
    expect(codeOf(request(null))).toBe("invalid");
  });
});

describe("G2 request ids", () => {
  const receipt: CommandReceipt = { kind: "accepted", requestId: "q", runId: "r", appliesAtEpoch: 2, detail: "pause r" };

  it("a known one gets its receipt, and is not counted; with another command it is refused", () => {
    const full = { startMs: 0, count: 1_000 };
    const memory = (same: boolean): GateMemory => ({ recall: () => ({ same, receipt }), counted: () => full });
    expect(judgeRequest(request(examples.pause), memory(true), control, 5)).toEqual({ kind: "answered", receipt });
    expect(codeOf(request(examples.pause), memory(false))).toBe("request_id_used");
  });

  it("who may not send it does not learn its receipt", () => {
    const memory: GateMemory = { recall: () => ({ same: true, receipt }), counted: () => undefined };
    const by = { principal: "eve", role: "observer", transport: "nats" } as const;
    expect(codeOf(request(examples.pause, { by }), memory)).toBe("forbidden");
  });
});

/** Sends commands at the given times and says which were admitted. */
const sendAt = (role: Exclude<Role, "controller">, timesMs: readonly number[]): boolean[] => {
  const windows = new Map<string, RateWindow>();
  const by = { principal: "ada", role, transport: "nats" } as const;
  return timesMs.map((nowMs) => {
    const memory: GateMemory = { recall: () => undefined, counted: (login) => windows.get(login) };
    const verdict = judgeRequest(request(examples.status, { by }), memory, control, nowMs);
    if (verdict.window !== undefined) windows.set(loginOf(by), verdict.window);
    return verdict.kind === "admitted";
  });
};

describe("G3 rates", () => {
  it.each([
    ["anonymous", 5],
    ["observer", 20],
    ["developer", 30],
    ["operator", 50],
    ["admin", 100],
  ] as const)("%s sends %i commands in a minute, not one more, and as many again in the next", (role, most) => {
    const times = [...Array(most + 3).fill(1_000), 1_000 + minuteMs - 1, ...Array(most + 1).fill(1_000 + minuteMs)];
    expect(sendAt(role, times)).toEqual([...Array(most).fill(true), ...Array(4).fill(false), ...Array(most).fill(true), false]);
  });

  it("at no time are more admitted in a minute than twice the limit less one, whatever the clock does", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 30_000 }), { minLength: 1, maxLength: 60 }), (steps) => {
        let nowMs = 1_000_000;
        const times = steps.map((step) => (nowMs += step));
        const admitted = times.filter((_, i) => sendAt("anonymous", times.slice(0, i + 1)).at(-1));
        for (const start of admitted)
          expect(admitted.filter((time) => time >= start && time < start + minuteMs).length).toBeLessThan(10);
      }),
      { numRuns: 50 },
    );
  });

  it("a clock that is set back forgives nothing, and nobody waits longer than a minute after it", () => {
    const day = 86_400_000;
    const full = Array(5).fill(day * 2);
    expect(sendAt("anonymous", [...full, day, day + minuteMs - 1, day + minuteMs])).toEqual([
      ...Array(5).fill(true),
      false,
      false,
      true,
    ]);
  });

  it("G4 the node's controllers are not counted", () => {
    const memory: GateMemory = { recall: () => undefined, counted: () => ({ startMs: 0, count: 1e9 }) };
    const by = { principal: "tamiyo", role: "controller", transport: "nats" } as const;
    expect(judgeRequest(request(examples.germinate, { by }), memory, control, 1)).toEqual({
      kind: "admitted",
      command: examples.germinate,
    });
  });
});

describe("whatever anybody sends", () => {
  const anyRole = fc.constantFrom(...roles);
  /** A valid command with one field replaced, removed or added. */
  const nearly = fc
    .tuple(
      fc.constantFrom(...commandKinds),
      fc.string({ maxLength: 12 }),
      fc.jsonValue(),
      fc.constantFrom("leave", "remove", "replace"),
    )
    .map(([kind, key, value, how]) => {
      const command: Record<string, unknown> = { ...examples[kind] };
      const keys = Object.keys(command);
      const field = keys[key.length % keys.length] ?? "kind";
      if (how === "remove") delete command[field];
      if (how === "replace") command[key.length % 2 === 0 ? field : key] = value;
      return command;
    });

  it("is admitted as a command of its role, or refused by a known code: never an exception", () => {
    let admitted = 0;
    fc.assert(
      fc.property(
        fc.oneof(fc.anything(), fc.jsonValue(), { weight: 3, arbitrary: nearly }),
        anyRole,
        fc.integer({ min: 0, max: 80_000 }),
        fc.constantFrom(undefined, undefined, 999, 1_001),
        (command, role, bytes, deadlineAtMs) => {
          const by = { principal: "ada", role, transport: "http" } as const;
          const verdict = judgeRequest({ by, command, bytes, traceId, deadlineAtMs }, nothing, control, 1_000);
          if (verdict.kind === "admitted") {
            admitted += 1;
            expect(may[role]).toContain(verdict.command.kind);
            expect(bytes).toBeLessThanOrEqual(control.commandBytesMax);
          } else expect(CommandReceipt.parse(verdict.receipt).kind).toBe("refused");
        },
      ),
      { numRuns: 5_000 },
    );
    expect(admitted).toBeGreaterThan(100);
  });
});
