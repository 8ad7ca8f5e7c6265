/** A whole node tells how it does, and that nothing died. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { connect } from "nats";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectOperator } from "../../src/bus/create.ts";
import { createSystemClock, createSystemEntropy } from "../../src/ports/system.ts";
import { hostConfig, silentLog, startNode, temporaryFolder } from "./support.ts";

describe("query.performance and query.dead_letters", () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  beforeAll(async () => {
    folder = await temporaryFolder();
  });
  afterAll(() => folder.remove());

  it("breakers with what they counted and measured, every actor's queue, and no dead letter until a message breaks", async () => {
    const node = startNode(hostConfig(folder.path));
    await node.until("system.events.epoch", ({ result }) => result.epoch === 2);
    const ports = { clock: createSystemClock(), entropy: createSystemEntropy(), log: silentLog };
    const observer = await connectOperator(folder.path, ports, { role: "observer", requestTimeoutMs: 20_000 });
    /** Puts bytes that are no message into a stream, under Kasmina's login, and waits for the letter. */
    const breakAMessage = async () => {
      const config = await readFile(join(folder.path, "nats", "nats-server.conf"), "utf8");
      const pass = /user: "kasmina", password: "([^"]+)"/.exec(config)?.[1] ?? "";
      const { url } = JSON.parse(await readFile(join(folder.path, "operator.json"), "utf8"));
      const raw = await connect({ servers: url, user: "kasmina", pass, inboxPrefix: "_INBOX.kasmina", noAsyncTraces: true });
      await raw.request("compilation.blueprint.submitted", "no message", { timeout: 10_000 });
      await raw.close();
      for (;;) {
        const found = await observer.request("query.dead_letters", { kind: "list" });
        if (found.kind !== "reply" || found.value.kind !== "letters") return found;
        if (found.value.letters.length > 0) return found.value.letters;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    const performance = await observer.request("query.performance", {});
    const letters = await observer.request("query.dead_letters", { kind: "list" });
    const stuck = await breakAMessage();
    await observer.close();
    if (performance.kind !== "reply") throw new Error(`expected an answer, got ${performance.kind}: ${performance.reason}`);
    const { breakers, queues } = performance.value;
    const lane = breakers.find(({ name }) => name === "lane.training");
    expect(lane).toMatchObject({ state: "CLOSED", failed: 0, rejected: 0, opened: 0 });
    expect(lane!.calls).toBe(lane!.succeeded + lane!.failed + lane!.cancelled + lane!.inFlight);
    expect(lane!.latency!.samples).toBeGreaterThanOrEqual(2);
    for (const name of ["control.kasmina.boundary", "library.asset.put"])
      expect(breakers.find((each) => each.name === name)?.succeeded, name).toBeGreaterThan(0);
    const actors = queues.map(({ actor }) => actor.split("/").at(-1));
    expect(actors).toEqual(expect.arrayContaining(["urza", "nissa", "tezzeret", "tamiyo", "letters", "kasmina", "tolaria"]));
    expect(queues.find(({ actor }) => actor.endsWith("/nissa"))?.processed).toBeGreaterThan(0);
    expect(letters).toEqual({ kind: "reply", value: { kind: "letters", letters: [], kept: 0 } });
    expect(stuck).toMatchObject([
      {
        principal: "tezzeret",
        subject: "compilation.blueprint.submitted",
        reason: expect.stringContaining("expected JSON"),
        stuck: "it is no message of this program",
      },
    ]);
    expect(await node.until("system.events.supervision", ({ kind }) => kind === "dead_letter")).toMatchObject({
      child: "tezzeret",
      detail: expect.stringContaining("compilation.blueprint.submitted: expected JSON"),
    });
    node.interrupt();
    await node.done;
  }, 120_000);
});
