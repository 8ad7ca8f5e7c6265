/** What is secret is in no answer and in no line of the log, whatever goes wrong. */
import { afterEach, expect, it } from "vitest";
import type { Log } from "../../src/contracts/ports.ts";
import { commandRoutes } from "../../src/http/command-routes.ts";
import { operations } from "../../src/http/operations.ts";
import { type Door, done, openDoor } from "./support.ts";

let door: Door;
afterEach(() => door.close());

it("H10 no token, no key and no configured name gets out, in answers or in the log", async () => {
  const lines: string[] = [];
  const note =
    (level: string) =>
    (message: string, fields?: unknown): void => {
      lines.push(
        `${level} ${message} ${JSON.stringify(fields, (_, value) => (value instanceof Error ? `${value.stack}` : value))}`,
      );
    };
  const log: Log = { debug: note("debug"), info: note("info"), warn: note("warn"), error: note("error"), child: () => log };
  const canary = "canary-7c1f";
  let failing = false;
  door = await openDoor({
    gate: (asked) => {
      if (failing) throw new Error("the Gate broke");
      return done(asked);
    },
    log,
    config: { requestTimeoutMs: 200, names: [`${canary}.example`], host: `${canary}.local` },
    ports: {
      artifacts: {
        has: () => true,
        read: async () => {
          throw new Error("a file is damaged");
        },
      },
    },
  });
  const pem = door.tokenKey.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  const token = await door.token("operator", canary.replace("-", "."));
  const broken = `${token.slice(0, -4)}AAAA`;
  const secrets = [canary, token, token.split(".")[2]!, broken, pem.split("\n")[1]!];
  const told: string[] = [];
  const ask = async (method: "GET" | "POST" | "PUT", url: string, headers: Record<string, string>): Promise<void> => {
    const payload = method === "GET" ? {} : { payload: "{}" };
    const type = method === "GET" ? {} : { "content-type": "application/json" };
    const answer = await door.app.inject({ method, url, ...payload, headers: { host: "localhost", ...type, ...headers } });
    told.push(`${answer.statusCode} ${JSON.stringify(answer.headers)} ${answer.body}`);
  };
  const paths = [
    ...commandRoutes,
    ...operations.map(({ path }) => ({ method: "GET" as const, path })),
    { method: "PUT" as const, path: "/nowhere" },
  ];
  for (const way of ["works", "fails"]) {
    failing = way === "fails";
    for (const { method, path } of paths) {
      const url = path.replace("{id}", "x").replace("{hash}", "a".repeat(64));
      for (const authorization of [`Bearer ${token}`, `Bearer ${broken}`, `Basic ${token}`, `Bearer ${token}, Bearer ${broken}`])
        await ask(method, url, { authorization });
      await ask(method, `${url}?access_token=${token}`, {});
      await ask(method, url, { host: "evil.example", authorization: `Bearer ${token}` });
    }
  }
  expect(told.length).toBeGreaterThan(300);
  expect(lines.some((line) => line.includes("a request failed"))).toBe(true);
  for (const secret of secrets) {
    expect(told.filter((text) => text.includes(secret))).toEqual([]);
    expect(lines.filter((line) => line.includes(secret))).toEqual([]);
  }
});
