import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decodeMessage,
  decodeReply,
  deliveryOf,
  encodeMessage,
  failureCodes,
  failureKind,
  traceIdOf,
  traceparent,
} from "../../src/bus/wire.ts";
import { subjectNames } from "../../src/contracts/subjects.ts";
import { progress, statusCommand } from "./support.ts";

const encoder = new TextEncoder();
const bareFields = () => ({ id: "bare", sentAtMs: 7, traceId: "0".repeat(32) });
const fields = { id: "i", subject: "telemetry.run.progress", sender: "tolaria", sentAtMs: 1, traceId: "a".repeat(32) };
const decode = (value: unknown, subject: (typeof subjectNames)[number] = "telemetry.run.progress") =>
  decodeMessage(subject, encoder.encode(JSON.stringify(value)), bareFields);

describe("messages", () => {
  it("what is encoded is decoded to the same payload", () => {
    fc.assert(
      fc.property(fc.nat(), fc.string(), fc.double({ noNaN: true, noDefaultInfinity: true }), (step, work, loss) => {
        const payload = { ...progress(step), work, loss };
        const encoded = encodeMessage(fields, payload, 1e6);
        if (encoded.kind !== "fits") throw new Error(encoded.reason);
        const decoded = decodeMessage("telemetry.run.progress", encoded.value, bareFields);
        expect(decoded).toMatchObject({ kind: "message", bare: false });
        // JSON knows one zero.
        if (decoded.kind === "message") expect(decoded.payload).toEqual({ ...payload, loss: loss + 0 === 0 ? 0 : loss });
      }),
    );
  });

  it("B2 any bytes on any subject are a message or unfit with a reason, never an exception", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...subjectNames),
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((text) => encoder.encode(text)),
        ),
        (subject, data) => {
          const decoded = decodeMessage(subject, data, bareFields);
          if (decoded.kind === "unfit") expect(decoded.reason.length).toBeGreaterThan(10);
        },
      ),
    );
  });

  it("the bound counts bytes, not letters: at it a message fits, one byte more does not", () => {
    const exact = encoder.encode(JSON.stringify({ ...fields, schemaVersion: 1, payload: "é" })).byteLength;
    expect(encodeMessage(fields, "é", exact).kind).toBe("fits");
    expect(encodeMessage(fields, "é", exact - 1)).toMatchObject({
      kind: "unfit",
      reason: expect.stringContaining(`got ${exact}`),
    });
  });

  it("a payload that is no JSON is unfit", () => {
    expect(encodeMessage(fields, 1n, 1e6)).toMatchObject({ kind: "unfit", reason: expect.stringContaining("BigInt") });
  });

  it("another schema version, subject, or sender than the table's is unfit and keeps its envelope", () => {
    const good = { ...fields, schemaVersion: 1, payload: progress(1) };
    expect(decode(good).kind).toBe("message");
    expect(decode({ ...good, schemaVersion: 2 })).toMatchObject({
      kind: "unfit",
      reason: expect.stringContaining("schemaVersion"),
    });
    expect(decode({ ...good, subject: "library.asset.get" })).toMatchObject({
      kind: "unfit",
      reason: expect.stringContaining("its subject is library.asset.get"),
    });
    expect(decode({ ...good, sender: "nissa" })).toMatchObject({
      kind: "unfit",
      reason: expect.stringContaining("got nissa"),
      envelope: { sender: "nissa" },
    });
    expect(decode({ ...good, extra: 1 })).toMatchObject({
      kind: "unfit",
      reason: expect.stringContaining("expected known keys alone, got 1"),
    });
  });
});

describe("bare requests", () => {
  it("a bare payload counts as the operator's where the operator may ask, and nowhere else", () => {
    expect(decode(statusCommand("1"), "control.kasmina.commands")).toMatchObject({
      kind: "message",
      bare: true,
      envelope: { sender: "operator", id: "bare" },
    });
    expect(decode({ kind: "kernel", hash: "0".repeat(64) }, "library.asset.get")).toMatchObject({ kind: "unfit", bare: false });
    expect(decode(progress(1)).kind).toBe("unfit");
  });

  it("one that does not fit keeps its request id for the refusal", () => {
    expect(decode({ kind: "fly", requestId: "r9" }, "control.kasmina.commands")).toMatchObject({
      kind: "unfit",
      bare: true,
      requestId: "r9",
    });
  });
});

describe("replies", () => {
  it("are checked against the subject's reply schema", () => {
    const envelope = { ...fields, subject: "library.asset.get", sender: "urza", schemaVersion: 1 };
    const reply = (payload: unknown) =>
      decodeReply("library.asset.get", encoder.encode(JSON.stringify({ ...envelope, payload })));
    expect(reply({ kind: "missing", reason: "x" })).toEqual({ kind: "fits", value: { kind: "missing", reason: "x" } });
    expect(reply({ kind: "maybe" }).kind).toBe("unfit");
    expect(decodeReply("library.asset.get", encoder.encode("{")).kind).toBe("unfit");
    expect(decodeReply("system.events.run", encoder.encode("{}")).kind).toBe("unfit");
  });

  it("failure codes map to the outcomes of a request", () => {
    const kinds = Object.entries(failureCodes).map(([kind, code]) => [kind, failureKind(code)]);
    expect(Object.fromEntries(kinds)).toEqual({
      invalid: "invalid",
      denied: "denied",
      timeout: "timeout",
      failed: "unavailable",
      unavailable: "unavailable",
    });
  });
});

describe("headers and acknowledgement subjects", () => {
  it("a trace id survives the traceparent header; anything else is none", () => {
    const traceId = "0af7651916cd43dd8448eb211c80319c";
    expect(traceIdOf(traceparent(traceId, "b7ad6b7169203331"))).toBe(traceId);
    for (const header of [undefined, "", "00-xyz-1-01", `00-${traceId}`]) expect(traceIdOf(header)).toBeUndefined();
  });

  it("deliveries and sequence are read from both forms of the acknowledgement subject", () => {
    expect(deliveryOf("$JS.ACK.EVENTS.nissa-x.3.17.5.1700000000.0")).toEqual({ deliveries: 3, sequence: 17 });
    expect(deliveryOf("$JS.ACK._.hash.EVENTS.nissa-x.3.17.5.1700000000.0")).toEqual({ deliveries: 3, sequence: 17 });
    for (const other of ["", "_INBOX.nissa.abc", "$JS.ACK.EVENTS.x", "$JS.ACK.EVENTS.x.a.b.c.d.e"])
      expect(deliveryOf(other)).toBeUndefined();
  });
});
