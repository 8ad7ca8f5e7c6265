/** `esper token`: who a program or a page is to be when it asks a node over HTTP. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { InputError } from "../../contracts/errors.ts";
import { type PersonRole, personRoles } from "../../contracts/roles.ts";
import { readTokenKey, tokenKeyFile } from "../../http/token-key.ts";
import { mintToken, PrincipalName } from "../../http/tokens.ts";
import { type CommandScope, type GlobalOptions, writeLines } from "../context.ts";

interface TokenOptions extends GlobalOptions {
  readonly role: PersonRole;
  readonly name?: string;
  readonly for: number;
  readonly json?: boolean;
}

const units: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const lifetimeMsMax = 31_536_000_000;
const usualLifetime = "8h";

const lifetimeMsOf = (text: string): number => {
  const [, count = "", unit = ""] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  const lifetimeMs = Number(count) * (units[unit] ?? Number.NaN);
  if (lifetimeMs >= 1_000 && lifetimeMs <= lifetimeMsMax) return lifetimeMs;
  throw new InvalidArgumentError("expected a time such as 30m, 8h or 7d, of at most 365d.");
};

export const addToken = (program: Command, { context }: CommandScope): void => {
  program
    .command("token")
    .description("A token for the HTTP API of the node in the data directory, signed with the node's key.")
    .addOption(new Option("--role <role>", "what its owner may do").choices(personRoles).default("observer"))
    .option("--name <name>", "who its owner is, in rates and in the ledger (default: the role)")
    .addOption(
      new Option("--for <time>", "how long it holds, at most services.http.tokenLifetimeMsMax of the node")
        .argParser(lifetimeMsOf)
        .default(lifetimeMsOf(usualLifetime), usualLifetime),
    )
    .option("--json", "one JSON object")
    .addHelpText(
      "after",
      '\nExamples:\n  esper token --role operator\n  curl -H "Authorization: Bearer $(esper token)" http://127.0.0.1:8770/seeds\n  esper token --role developer --name ci --for 30m --json',
    )
    .action(async (_: unknown, command: Command) => {
      const { role, name: principal = role, for: lifetimeMs, json, dataDir = ".esper" } = command.optsWithGlobals<TokenOptions>();
      const unfit = PrincipalName.safeParse(principal).error?.issues[0]?.message;
      if (unfit !== undefined) throw new InputError(`--name: ${unfit}, got "${principal}"`);
      const key = await readTokenKey(tokenKeyFile(dataDir));
      const nowMs = context.clock.nowMs();
      const token = await mintToken(key, { principal, role, lifetimeMs, nowMs });
      const told = { token, principal, role, expiresAtMs: nowMs + lifetimeMs };
      writeLines(context, [json ? JSON.stringify(told) : token]);
    });
};
