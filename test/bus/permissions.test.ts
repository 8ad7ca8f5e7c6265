/** The server itself is asked, for every principal and every subject; what to expect is read off the table, not off our own rules. */
import { connect, Empty, type NatsConnection } from "nats";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type EmbeddedServer, newCredentials, startEmbeddedServer } from "../../src/bus/embedded-server.ts";
import { findNatsServer } from "../../src/bus/find-server.ts";
import { systemProcesses } from "../../src/bus/server-process.ts";
import { personRoles } from "../../src/contracts/roles.ts";
import { type Principal, principals, subjectNames, subjects } from "../../src/contracts/subjects.ts";
import { clock, embedded, ports, quietLog, temporaryFolder, until } from "./support.ts";

const credentials = newCredentials(ports.entropy);
let server: EmbeddedServer;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
const connections: NatsConnection[] = [];

beforeAll(async () => {
  folder = await temporaryFolder();
  const { path: binary } = await findNatsServer({ folders: [], processes: systemProcesses });
  const { memoryBytesMax, storageBytesMax } = embedded;
  const place = { binary, dataDir: folder.path, port: -1 };
  server = await startEmbeddedServer({
    ...place,
    memoryBytesMax,
    storageBytesMax,
    payloadBytesMax: 65_536,
    credentials,
    processes: systemProcesses,
    clock,
    log: quietLog,
  });
});
afterAll(async () => {
  await Promise.all(connections.map((connection) => connection.close()));
  await server.stop();
  await folder.remove();
});

interface Probe {
  readonly connection: NatsConnection;
  /** Whether the server lets the principal do it. */
  publish(subject: string): Promise<boolean>;
  subscribe(subject: string): Promise<boolean>;
}

const probe = async (principal: Principal, inboxPrefix = `_INBOX.${principal}`): Promise<Probe> => {
  const { user, password } = credentials[principal];
  const connection = await connect({ servers: server.url, user, pass: password, inboxPrefix, noAsyncTraces: true });
  connections.push(connection);
  const violations: string[] = [];
  void (async () => {
    for await (const status of connection.status())
      if (status.permissionContext) violations.push(`${status.permissionContext.operation} ${status.permissionContext.subject}`);
  })();
  return {
    connection,
    publish: async (subject) => {
      connection.publish(subject, Empty);
      await connection.flush();
      // The refusal comes before the answer to the flush, but is told a turn later.
      await new Promise((resolve) => setImmediate(resolve));
      return !violations.includes(`publish ${subject}`);
    },
    subscribe: async (subject) => {
      let allowed = true;
      const subscription = connection.subscribe(subject, {
        callback: (error) => {
          if (error) allowed = false;
        },
      });
      await connection.flush();
      subscription.unsubscribe();
      return allowed;
    },
  };
};

const isPerson = (principal: Principal): boolean => (personRoles as readonly string[]).includes(principal);

describe.each(principals)("%s", (principal) => {
  it.each(subjectNames)("P1 P2 P6 %s: publish and subscribe as the table says", async (subject) => {
    const { publish, subscribe } = probes.get(principal) ?? (await remember(principal));
    const entry: {
      readonly publishers: readonly string[];
      readonly listeners: readonly string[];
      readonly stream?: string;
      readonly vouched?: true;
    } = subjects[subject];
    const person = isPerson(principal);
    const named = entry.vouched === true && principal !== "operator";
    const resends = principal === "supervisor" && entry.stream !== undefined;
    expect(await publish(named ? `${subject}.${principal}` : subject)).toBe(entry.publishers.includes(principal) || resends);
    const live = person || principal === "http";
    expect(await subscribe(subject)).toBe(entry.listeners.includes(principal) && (live || entry.stream === undefined));
  });

  it("P1 on a vouched subject it cannot speak in the name of another", async () => {
    const { publish, subscribe } = probes.get(principal) ?? (await remember(principal));
    const vouched = subjectNames.filter((subject) => "vouched" in subjects[subject]);
    expect(vouched.length).toBeGreaterThan(0);
    for (const subject of vouched) {
      for (const other of [...principals, "stranger"]) {
        const may = other === principal && (subjects[subject].publishers as readonly string[]).includes(principal);
        expect(await publish(`${subject}.${other}`), `${subject}.${other}`).toBe(may);
      }
      // Without a name it is the operator who speaks.
      const bare = principal === "operator" && (subjects[subject].publishers as readonly string[]).includes(principal);
      expect(await publish(subject), subject).toBe(bare);
      expect(await subscribe(`${subject}.*`)).toBe((subjects[subject].listeners as readonly string[]).includes(principal));
    }
  });

  it("P3 hears its own inbox and nobody else's", async () => {
    const { subscribe } = probes.get(principal) ?? (await remember(principal));
    expect(await subscribe(`_INBOX.${principal}.abc.*`)).toBe(true);
    for (const other of principals) if (other !== principal) expect(await subscribe(`_INBOX.${other}.abc.*`), other).toBe(false);
  });

  it("P5 makes no streams or consumers, unless it is the supervisor, and takes no other actor's messages", async () => {
    const { publish } = probes.get(principal) ?? (await remember(principal));
    for (const subject of ["$JS.API.STREAM.CREATE.EVENTS", "$JS.API.CONSUMER.CREATE.EVENTS.x.system.events.run"])
      expect(await publish(subject), subject).toBe(principal === "supervisor");
    for (const subject of ["$JS.API.STREAM.DELETE.EVENTS", "$JS.API.STREAM.PURGE.EVENTS", "$SYS.REQ.SERVER.PING"])
      expect(await publish(subject), subject).toBe(false);
    expect(await publish("$JS.API.CONSUMER.MSG.NEXT.EVENTS.nissa-system-events-run")).toBe(principal === "nissa");
    // Of the work of the actors whose part it takes, and of nothing else, a forge elsewhere takes its share.
    for (const [actor, subject] of [
      ["tezzeret", "compilation-blueprint-submitted"],
      ["urabrask", "validation-kernel-submitted"],
    ] as const) {
      const works = principal === actor || principal === "forge";
      expect(await publish(`$JS.ACK.COMPILATION.${actor}-${subject}.1.1.1.1.0`), actor).toBe(works);
      expect(await publish(`$JS.API.CONSUMER.MSG.NEXT.COMPILATION.${actor}-${subject}`), actor).toBe(works);
    }
  });

  it("services: people ask, actors answer under their own name", async () => {
    const { publish, subscribe } = probes.get(principal) ?? (await remember(principal));
    const person = isPerson(principal);
    expect(await publish("$SRV.PING")).toBe(person);
    expect(await subscribe("$SRV.PING")).toBe(!person);
    expect(await subscribe("$SRV.INFO.urza")).toBe(principal === "urza");
    expect(await subscribe("$SRV.INFO.tezzeret")).toBe(principal === "tezzeret" || principal === "forge");
  });

  it("hears nothing wholesale", async () => {
    const { subscribe } = probes.get(principal) ?? (await remember(principal));
    for (const subject of [">", "*.>", "control.>", "$JS.>", "$SYS.>"]) expect(await subscribe(subject), subject).toBe(false);
  });
});

const probes = new Map<Principal, Probe>();
const remember = async (principal: Principal): Promise<Probe> => {
  const made = await probe(principal);
  probes.set(principal, made);
  return made;
};

it("P3 a person who listens to all inboxes does not hear those that belong to somebody", async () => {
  const operator = await probe("operator");
  const gate = await probe("gate");
  const heard: string[] = [];
  operator.connection.subscribe("_INBOX.>", { callback: (_, message) => void heard.push(message.subject) });
  for (const subject of ["control.kasmina.commands", "control.kasmina.commands.*"])
    gate.connection.subscribe(subject, { callback: (_, message) => void message.respond(Empty) });
  await Promise.all([operator.connection.flush(), gate.connection.flush()]);
  // A stock client with inboxes of no name gets its answer; one with a name's inbox is answered there alone.
  const stock = await probe("operator", "_INBOX");
  const tamiyo = await probe("tamiyo");
  await tamiyo.connection.request("control.kasmina.commands.tamiyo", Empty, { timeout: 5_000 });
  await stock.connection.request("control.kasmina.commands", Empty, { timeout: 5_000 });
  await until(() => heard.length > 0, "the stock client's answer was seen");
  expect(heard.filter((subject) => subject.startsWith("_INBOX.tamiyo."))).toEqual([]);
});

it("P4 an answer goes to the asker once, and to nobody who did not ask", async () => {
  const gate = await probe("gate");
  expect(await gate.publish("_INBOX.operator.abc.def")).toBe(false);
  const operator = await probe("operator");
  const answers: string[] = [];
  operator.connection.subscribe("_INBOX.operator.fixed", { callback: (_, message) => void answers.push(message.string()) });
  gate.connection.subscribe("control.kasmina.commands", {
    queue: "once",
    callback: (_, message) => {
      message.respond(new TextEncoder().encode("first"));
      message.respond(new TextEncoder().encode("second"));
    },
  });
  await Promise.all([operator.connection.flush(), gate.connection.flush()]);
  operator.connection.publish("control.kasmina.commands", Empty, { reply: "_INBOX.operator.fixed" });
  await until(() => answers.length > 0, "the answer came");
  await gate.connection.flush();
  await operator.connection.flush();
  expect(answers.filter((answer) => answer === "second")).toEqual([]);
});

it("a wrong password and a user that does not exist are refused", async () => {
  for (const [user, pass] of [
    ["operator", "guess"],
    ["root", credentials.operator.password],
  ] as const)
    await expect(connect({ servers: server.url, user, pass, reconnect: false, noAsyncTraces: true })).rejects.toThrow(
      /authorization/i,
    );
});
