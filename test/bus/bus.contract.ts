/** What every implementation of the bus must do. Each names itself and hands over a way to connect. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Bus } from "../../src/bus/bus.ts";
import type { DeadLetter } from "../../src/bus/receiver.ts";
import type { Principal } from "../../src/contracts/subjects.ts";
import { assetGet, clock, fieldReport, outcomeFailed, progress, refusal, statusCommand, supervision, until } from "./support.ts";

export const contractLimits = { payloadBytesMax: 65_536, mailboxMessagesMax: 4, deliveriesMax: 3 } as const;

/** Built with `contractLimits`. */
export interface BusUnderTest {
  connect(principal: Principal): Promise<Bus>;
  readonly deadLetters: readonly DeadLetter[];
  stop(): Promise<void>;
}

const traceId = "0af7651916cd43dd8448eb211c80319c";

/** A handler's door: it waits there until it is opened. */
const door = () => {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
};

export const busContract = (name: string, start: () => Promise<BusUnderTest>): void => {
  describe(`bus contract: ${name}`, () => {
    let system: BusUnderTest;
    const buses: Bus[] = [];
    const connect = async (principal: Principal): Promise<Bus> => {
      const bus = await system.connect(principal);
      buses.push(bus);
      return bus;
    };
    /** Unique in the whole suite: durable messages outlive a test. */
    let tags = 0;
    const tag = (): string => `tag-${tags++}`;

    beforeAll(async () => {
      system = await start();
    });
    afterEach(async () => {
      await Promise.all(buses.splice(0).map((bus) => bus.close()));
    });
    afterAll(() => system.stop());

    it("a live message reaches every listener, in order, with its sender and trace", async () => {
      const [tolaria, nissa, operator] = [await connect("tolaria"), await connect("nissa"), await connect("operator")];
      const seen: { readonly step: number; readonly sender: string; readonly trace: string; readonly redeliveries: number }[] =
        [];
      const steps: number[] = [];
      await nissa.subscribe("telemetry.run.progress", ({ step }, context) => {
        seen.push({ step, sender: context.sender, trace: context.traceId, redeliveries: context.redeliveries });
      });
      await operator.subscribe("telemetry.run.progress", ({ step }) => void steps.push(step));
      for (let step = 0; step < 3; step++)
        expect(await tolaria.publish("telemetry.run.progress", progress(step), { traceId })).toEqual({ kind: "sent" });
      await until(() => seen.length === 3 && steps.length === 3, "both have all");
      expect(seen).toEqual([0, 1, 2].map((step) => ({ step, sender: "tolaria", trace: traceId, redeliveries: 0 })));
      expect(steps).toEqual([0, 1, 2]);
    });

    it("nobody is called from inside publish", async () => {
      const [tolaria, nissa] = [await connect("tolaria"), await connect("nissa")];
      let calls = 0;
      await nissa.subscribe("telemetry.run.progress", () => void calls++);
      const publishing = tolaria.publish("telemetry.run.progress", progress(1));
      expect(calls).toBe(0);
      await publishing;
      await until(() => calls === 1, "it arrived");
    });

    it("a durable message waits for its actor and is handed over once it listens", async () => {
      const supervisor = await connect("supervisor");
      const detail = tag();
      expect(await supervisor.publish("system.events.supervision", supervision(detail))).toEqual({ kind: "sent" });
      const nissa = await connect("nissa");
      const details: string[] = [];
      await nissa.subscribe("system.events.supervision", (event) => void details.push(event.detail));
      await until(() => details.includes(detail), "the kept message came");
      expect(details.filter((other) => other === detail)).toHaveLength(1);
    });

    it("every listening actor gets a durable message of its own, a person sees it live", async () => {
      const kasmina = await connect("kasmina");
      const reason = tag();
      const heard: string[] = [];
      for (const principal of ["urza", "tamiyo", "nissa", "observer"] as const) {
        const bus = await connect(principal);
        await bus.subscribe("innovation.field_reports", (report) => {
          if (report.reason === reason) heard.push(principal);
        });
      }
      await kasmina.publish("innovation.field_reports", fieldReport(reason));
      await until(() => heard.length === 4, "all four heard it");
      expect([...heard].sort()).toEqual(["nissa", "observer", "tamiyo", "urza"]);
    });

    it("two nodes that host the same actor share its durable messages", async () => {
      const tezzeret = await connect("tezzeret");
      const marks = Array.from({ length: 6 }, tag);
      const heard: string[] = [];
      for (let node = 0; node < 2; node++) {
        const kasmina = await connect("kasmina");
        await kasmina.subscribe("compilation.kernel.ready", (outcome) => {
          if (outcome.kind === "failed") heard.push(outcome.reason);
        });
      }
      for (const mark of marks) await tezzeret.publish("compilation.kernel.ready", outcomeFailed(mark));
      await until(() => heard.length >= marks.length, "all were handled");
      expect([...heard].sort()).toEqual([...marks].sort());
    });

    it("the same message id is stored once", async () => {
      const [supervisor, nissa] = [await connect("supervisor"), await connect("nissa")];
      const [detail, last] = [tag(), tag()];
      for (let i = 0; i < 3; i++)
        expect(await supervisor.publish("system.events.supervision", supervision(detail), { messageId: detail })).toEqual({
          kind: "sent",
        });
      await supervisor.publish("system.events.supervision", supervision(last));
      const details: string[] = [];
      await nissa.subscribe("system.events.supervision", (event) => void details.push(event.detail));
      await until(() => details.includes(last), "the last came");
      expect(details.filter((other) => other === detail)).toHaveLength(1);
    });

    it("D4 a rejecting handler gets the message again; at the bound it succeeds, past it the message is a dead letter", async () => {
      const { deliveriesMax } = contractLimits;
      const [supervisor, nissa] = [await connect("supervisor"), await connect("nissa")];
      const [saved, lost] = [tag(), tag()];
      const redeliveries = new Map<string, number[]>([
        [saved, []],
        [lost, []],
      ]);
      await nissa.subscribe("system.events.supervision", ({ detail }, context) => {
        const counts = redeliveries.get(detail);
        counts?.push(context.redeliveries);
        if (detail === lost || (detail === saved && context.redeliveries < deliveriesMax - 1))
          throw new Error(`not yet: ${detail}`);
      });
      await supervisor.publish("system.events.supervision", supervision(saved));
      await supervisor.publish("system.events.supervision", supervision(lost));
      const letters = () => system.deadLetters.filter(({ reason }) => reason.includes("not yet"));
      await until(() => letters().length === 1 && redeliveries.get(saved)?.length === deliveriesMax, "both stories ended");
      expect(redeliveries.get(saved)).toEqual([0, 1, 2]);
      expect(redeliveries.get(lost)).toEqual([0, 1, 2]);
      expect(letters()[0]).toMatchObject({
        principal: "nissa",
        subject: "system.events.supervision",
        reason: `handed over 3 times, the last time: not yet: ${lost}`,
        envelope: { sender: "supervisor", payload: supervision(lost) },
        place: { stream: "EVENTS", sequence: expect.any(Number), deliveries: deliveriesMax },
      });
    });

    it("Q2 P6 a dead letter comes again as its sender sent it, once for each repeat, and only the supervisor may send it", async () => {
      const [supervisor, nissa] = [await connect("supervisor"), await connect("nissa")];
      const detail = tag();
      const seen: (readonly [string, string])[] = [];
      let broken = true;
      await nissa.subscribe("system.events.supervision", (event, { id, sender }) => {
        if (event.detail !== detail) return;
        if (broken) throw new Error(`broken for ${detail}`);
        seen.push([id, sender]);
      });
      await supervisor.publish("system.events.supervision", supervision(detail), { messageId: detail });
      const letter = () => system.deadLetters.find(({ reason }) => reason.includes(detail));
      await until(() => letter() !== undefined, "it died");
      broken = false;
      const { envelope } = letter()!;
      for (let i = 0; i < 2; i++) expect(await supervisor.resend(envelope!, "first")).toEqual({ kind: "sent" });
      await until(() => seen.length === 1, "it came again");
      expect(await supervisor.resend(envelope!, "second")).toEqual({ kind: "sent" });
      await until(() => seen.length === 2, "it came once more");
      expect(seen).toEqual([
        [detail, "supervisor"],
        [detail, "supervisor"],
      ]);
      expect(await nissa.resend(envelope!, "third")).toMatchObject({ kind: "failed", reason: expect.stringMatching(/^denied/) });
      const unfit = { ...envelope!, payload: { kind: "nonsense" } };
      expect(await supervisor.resend(unfit, "x")).toMatchObject({ kind: "failed", reason: expect.stringMatching(/^invalid/) });
    });

    it("a request is answered, with the trace carried over and defaults filled in", async () => {
      const [gate, operator] = [await connect("gate"), await connect("operator")];
      const seen: unknown[] = [];
      await gate.respond("control.kasmina.commands", async (command, context) => {
        seen.push(command, context.sender, context.traceId);
        return refusal(command.requestId);
      });
      const outcome = await operator.request(
        "control.kasmina.commands",
        { kind: "cull", requestId: "c1", seedId: "seed:h2" },
        { traceId },
      );
      expect(outcome).toEqual({ kind: "reply", value: refusal("c1") });
      expect(seen).toEqual([
        { kind: "cull", requestId: "c1", seedId: "seed:h2", reason: "asked by the operator" },
        "operator",
        traceId,
      ]);
    });

    it("a request that nobody answers is unavailable, also after the one who answered has stopped", async () => {
      const [gate, operator] = [await connect("gate"), await connect("operator")];
      const ask = () => operator.request("control.kasmina.commands", statusCommand("c"));
      expect((await ask()).kind).toBe("unavailable");
      const subscription = await gate.respond("control.kasmina.commands", async ({ requestId }) => refusal(requestId));
      expect((await ask()).kind).toBe("reply");
      await subscription.close();
      expect((await ask()).kind).toBe("unavailable");
    });

    it("closing one answer leaves the actor's others", async () => {
      const [urza, tezzeret] = [await connect("urza"), await connect("tezzeret")];
      const find = await urza.respond("library.kernel.find", async () => ({ kind: "missing" }) as const);
      await urza.respond("library.asset.get", async () => ({ kind: "missing", reason: "empty" }) as const);
      await find.close();
      expect(await tezzeret.request("library.asset.get", assetGet())).toEqual({
        kind: "reply",
        value: { kind: "missing", reason: "empty" },
      });
      expect((await tezzeret.request("library.kernel.find", { keyHash: "0".repeat(64) })).kind).toBe("unavailable");
    });

    it("B8 a request ends at the deadline it is given, and the one who answers is told of it", async () => {
      const [urza, tezzeret] = [await connect("urza"), await connect("tezzeret")];
      const deadlines: (number | undefined)[] = [];
      await urza.respond("library.kernel.find", async (_, { deadlineAtMs }) => {
        deadlines.push(deadlineAtMs);
        return { kind: "missing" } as const;
      });
      const ask = (deadlineAtMs: number) =>
        tezzeret.request("library.kernel.find", { keyHash: "0".repeat(64) }, { timeoutMs: 5_000, deadlineAtMs });
      const soonMs = clock.nowMs() + 3_000;
      expect((await ask(soonMs)).kind).toBe("reply");
      expect(await ask(clock.nowMs())).toMatchObject({
        kind: "timeout",
        reason: expect.stringContaining("the deadline had passed"),
      });
      expect(deadlines).toEqual([soonMs]);
    });

    it("B6 a request that is not answered in time is a timeout; what waited past its deadline is not handled", async () => {
      const [gate, operator] = [await connect("gate"), await connect("operator")];
      const { opened, open } = door();
      const handled: string[] = [];
      const startMs = clock.nowMs();
      await gate.respond("control.kasmina.commands", async ({ requestId }) => {
        handled.push(requestId);
        await opened;
        return refusal(requestId);
      });
      const outcomes = await Promise.all(
        ["slow", "late"].map((id) => operator.request("control.kasmina.commands", statusCommand(id), { timeoutMs: 60 })),
      );
      expect(outcomes.map(({ kind }) => kind)).toEqual(["timeout", "timeout"]);
      await until(() => clock.nowMs() > startMs + 120, "both deadlines are past on every clock");
      open();
      expect((await operator.request("control.kasmina.commands", statusCommand("next"))).kind).toBe("reply");
      expect(handled).toEqual(["slow", "next"]);
    });

    it("an answer that does not fit is invalid and a dead letter; an answer that fails is unavailable with its reason", async () => {
      const [urza, tezzeret] = [await connect("urza"), await connect("tezzeret")];
      let broken = true;
      await urza.respond("library.asset.get", async () => {
        if (broken) return JSON.parse('{"kind":"found"}') as { readonly kind: "missing"; readonly reason: string };
        throw new Error("disk on fire");
      });
      const before = system.deadLetters.length;
      const invalid = await tezzeret.request("library.asset.get", assetGet());
      expect(invalid).toMatchObject({
        kind: "invalid",
        reason: expect.stringContaining("the reply on library.asset.get does not fit"),
      });
      broken = false;
      const failed = await tezzeret.request("library.asset.get", assetGet());
      expect(failed).toEqual({ kind: "unavailable", reason: "urza failed to answer library.asset.get: disk on fire" });
      expect(system.deadLetters.slice(before)).toHaveLength(2);
    });

    it("B1 what does not fit its schema does not leave", async () => {
      const [tolaria, operator] = [await connect("tolaria"), await connect("operator")];
      const sent = await tolaria.publish("telemetry.run.progress", { ...progress(1), loss: Number.NaN });
      expect(sent).toMatchObject({
        kind: "failed",
        reason: expect.stringMatching(/^invalid: the message on telemetry\.run\.progress .*loss/),
      });
      const asked = await operator.request("control.kasmina.commands", { kind: "cull", requestId: "x", seedId: "h2" });
      expect(asked).toMatchObject({ kind: "invalid", reason: expect.stringContaining("expected seed:<site>") });
    });

    it("B1 a message at the bound in bytes leaves, one byte more does not", async () => {
      const [tolaria, nissa] = [await connect("tolaria"), await connect("nissa")];
      const lengths: number[] = [];
      await nissa.subscribe("telemetry.run.progress", ({ work }) => void lengths.push(work.length));
      const publish = (length: number) =>
        tolaria.publish("telemetry.run.progress", { ...progress(1), work: "x".repeat(length) }, { messageId: "fixed", traceId });
      // The room around the payload differs by the digits of the time, so look for the bound.
      let fits: number = contractLimits.payloadBytesMax - 1_000;
      let over: number = contractLimits.payloadBytesMax;
      while (over - fits > 1) {
        const middle = (fits + over) >> 1;
        if ((await publish(middle)).kind === "sent") fits = middle;
        else over = middle;
      }
      const refused = await publish(fits + 40);
      expect(refused).toMatchObject({
        kind: "failed",
        reason: expect.stringContaining("expected at most 65536 bytes on telemetry.run.progress, got 65"),
      });
      expect(refused).toMatchObject({ reason: expect.stringContaining("services.payloadBytesMax") });
      await until(() => lengths.includes(fits), "the largest arrived");
      expect(Math.max(...lengths)).toBeLessThan(contractLimits.payloadBytesMax);
    });

    it("B1 who may not publish is told so; who may not listen or answer gets an error", async () => {
      const [observer, nissa, tolaria] = [await connect("observer"), await connect("nissa"), await connect("tolaria")];
      expect(await observer.request("library.asset.get", assetGet())).toEqual({
        kind: "denied",
        reason: "observer may not publish on library.asset.get",
      });
      expect(await nissa.publish("telemetry.run.progress", progress(1))).toMatchObject({
        kind: "failed",
        reason: expect.stringMatching(/^denied/),
      });
      await expect(tolaria.subscribe("telemetry.run.progress", () => undefined)).rejects.toThrow(
        /expected a listener of telemetry\.run\.progress/,
      );
      await expect(tolaria.respond("library.asset.get", async () => ({ kind: "missing", reason: "" }) as const)).rejects.toThrow(
        /expected a listener/,
      );
    });

    it("B4 one message is handled at a time, and what is over the bound is a dead letter", async () => {
      const { mailboxMessagesMax } = contractLimits;
      const [tolaria, nissa] = [await connect("tolaria"), await connect("nissa")];
      const { opened, open } = door();
      const steps: number[] = [];
      let atWork = 0;
      let atWorkMax = 0;
      await nissa.subscribe("telemetry.run.progress", async ({ step }) => {
        atWorkMax = Math.max(atWorkMax, ++atWork);
        await opened;
        atWork--;
        steps.push(step);
      });
      const letters = () => system.deadLetters.filter(({ reason }) => reason === `more than ${mailboxMessagesMax} messages wait`);
      await tolaria.publish("telemetry.run.progress", progress(0));
      await until(() => atWork === 1, "the first is at work");
      for (let step = 1; step <= mailboxMessagesMax + 1; step++) await tolaria.publish("telemetry.run.progress", progress(step));
      await until(() => letters().length === 1, "the one over the bound was dropped");
      open();
      await until(() => steps.length === mailboxMessagesMax + 1, "the others were handled");
      expect(steps).toEqual([0, 1, 2, 3, 4]);
      expect(atWorkMax).toBe(1);
    });

    it("a handler of a live subject that fails costs its message only", async () => {
      const [tolaria, nissa] = [await connect("tolaria"), await connect("nissa")];
      const steps: number[] = [];
      await nissa.subscribe("telemetry.run.progress", ({ step }) => {
        if (step === 1) throw new Error("stumbled on 1");
        steps.push(step);
      });
      for (let step = 0; step < 3; step++) await tolaria.publish("telemetry.run.progress", progress(step));
      await until(() => steps.length === 2, "the others came");
      expect(steps).toEqual([0, 2]);
      expect(system.deadLetters.some(({ reason }) => reason === "the handler failed: stumbled on 1")).toBe(true);
    });

    it("a closed subscription hears nothing more; a closed bus sends nothing more and takes no listeners", async () => {
      const [tolaria, nissa] = [await connect("tolaria"), await connect("nissa")];
      const first: number[] = [];
      const second: number[] = [];
      const subscription = await nissa.subscribe("telemetry.run.progress", ({ step }) => void first.push(step));
      await nissa.subscribe("telemetry.run.progress", ({ step }) => void second.push(step));
      await tolaria.publish("telemetry.run.progress", progress(1));
      await until(() => first.length === 1 && second.length === 1, "both heard the first");
      await subscription.close();
      await tolaria.publish("telemetry.run.progress", progress(2));
      await until(() => second.length === 2, "the other heard the second");
      expect(first).toEqual([1]);
      await tolaria.close();
      expect((await tolaria.publish("telemetry.run.progress", progress(3))).kind).toBe("failed");
      await nissa.close();
      await expect(nissa.subscribe("telemetry.run.progress", () => undefined)).rejects.toThrow(/expected an open bus/);
    });

    it("B7 `closed` stays open after an own close", async () => {
      const nissa = await connect("nissa");
      let told = "nothing";
      void nissa.closed.then((reason) => {
        told = reason;
      });
      await nissa.close();
      const tolaria = await connect("tolaria");
      await tolaria.publish("telemetry.run.progress", progress(1));
      expect(told).toBe("nothing");
    });
  });
};
