/** No secret of a configuration is in an error: a canary in every key of the schema, in every form and from every source. */
import { afterEach, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { z } from "zod";
import { exitCodeOf, formatError } from "../../src/cli/exit-codes.ts";
import { configKeys, environmentName } from "../../src/config/keys.ts";
import { type ConfigOverride, resolveConfig } from "../../src/config/load.ts";
import { EsperConfig } from "../../src/contracts/config.ts";
import { describeError } from "../../src/contracts/errors.ts";
import { addressOf, shown } from "../../src/contracts/shown.ts";
import { allOf, isText, type Leaf, leakIn, leavesOf, newCanary, shapesOf } from "./canary.ts";

const leaves = leavesOf(EsperConfig);

/** What was tried and what was found, over the whole file. */
const tally = { tries: 0, refused: 0, accepted: 0, leaks: 0 };
const found: string[] = [];
afterEach(() => {
  tally.leaks += found.splice(0).length;
});

const shownLeaksMax = 8;
const expectNone = (): void => expect([found.length, ...found.slice(0, shownLeaksMax)]).toEqual([0]);

interface Try {
  readonly what: string;
  readonly canary: string;
  readonly load: () => unknown;
  /** The canary may be told: the key is declared as shown, and this is a text in it. */
  readonly open?: boolean;
}

/** Loads, and looks for the canary in all that a person or a program gets to see of a refusal. Returns the message. */
const attempt = ({ what, canary, load, open = false }: Try): string | undefined => {
  tally.tries += 1;
  const warnings: string[] = [];
  const emit = process.emitWarning;
  process.emitWarning = (warning: string | Error) => void warnings.push(String(warning));
  let failure: unknown;
  try {
    load();
    tally.accepted += 1;
  } catch (error) {
    failure = error;
    tally.refused += 1;
  } finally {
    process.emitWarning = emit;
  }
  const told = [
    ...warnings,
    ...(failure === undefined ? [] : [allOf(failure), formatError(failure, true), formatError(failure, false)]),
  ];
  const leak = open ? undefined : leakIn(told.join("\n"), canary);
  if (leak !== undefined) found.push(`${what}: …${leak}…`);
  if (failure === undefined) return undefined;
  // The refusal is typed, and not a bug.
  if (exitCodeOf(failure) !== 2) found.push(`${what}: exit code ${exitCodeOf(failure)}`);
  return failure instanceof Error ? failure.message : String(failure);
};

const yaml = (tree: unknown) => () => resolveConfig({ text: stringify(tree), file: "a.yaml" });
const json = (tree: unknown) => () => resolveConfig({ text: JSON.stringify(tree), file: "a.json" });
const digits = (): string => String(Math.trunc(1e14 + Math.random() * 9e14));

/** What a leaf may be given: shapes of a text where it takes texts, and what is of another kind everywhere. */
const valuesFor = (canary: string): readonly [string, unknown][] => [
  ...shapesOf(canary).map((text, index): [string, unknown] => [`text ${index}`, text]),
  ["list", [canary]],
  ["list of lists", [[canary], { [canary]: canary }]],
  ["group", { [canary]: 1 }],
  ["value in a group", { name: canary, kind: canary, mode: canary, password: canary }],
];

const isOpen = ({ shown: seen }: Leaf, value: unknown): boolean =>
  seen !== undefined && typeof value === "string" && seen.part === "whole";

/** For sources whose values go the same way once they are read. */
const fewKinds = ["text 0", "text 5", "text 11", "group"];

/** The place as an error names it. */
const placeOf = ({ path }: Leaf): string =>
  path
    .map((part) => (typeof part === "number" ? `[${part}]` : `.${part}`))
    .join("")
    .slice(1);

test("N1 the leaves are those of the schema: every key of the reference, and what is inside of lists", () => {
  const names = new Set(leaves.map(({ path }) => path.filter((part) => typeof part === "string").join(".")));
  const missing = configKeys.keys.filter(({ group, path }) => !group && !names.has(path.join(".")));
  expect(missing.map(({ path }) => path.join("."))).toEqual([]);
  expect(names).toContain("control.approvals.rules.commands");
  expect(leaves.length).toBeGreaterThan(250);
});

test("N1 a key that is added tomorrow has its leaf, and is a secret until it says otherwise", () => {
  const tomorrow = EsperConfig.extend({
    fresh: z.strictObject({
      token: z.string().min(1).default("x").describe("A."),
      place: shown("errors", z.string()).optional().describe("B."),
      list: z.array(z.strictObject({ inner: z.string().optional() })).optional(),
    }),
  });
  const added = leavesOf(tomorrow).filter(({ path }) => path[0] === "fresh");
  expect(added.map(({ name, shown: seen }) => [name, seen?.where])).toEqual([
    ["fresh.token", undefined],
    ["fresh.place", "errors"],
    ["fresh.list", undefined],
    ["fresh.list[].inner", undefined],
  ]);
  for (const leaf of added) expect(tomorrow.safeParse(leaf.tree(leaf.path.at(-1) === "list" ? [] : "a")).success).toBe(true);
});

test("what is shown is declared: each with where, and neither users nor passwords nor what leads to them", () => {
  const open = leaves.filter(({ shown: seen }) => seen !== undefined);
  expect(
    open
      .filter((leaf) => !isText(leaf) || leaf.shown?.where === "")
      .map(({ name }) => name)
      .filter((name) => !name.includes("[]")),
  ).toEqual([]);
  const secret = leaves
    .filter((leaf) => isText(leaf) && leaf.shown === undefined)
    .map(({ path }) => path.filter((part) => typeof part === "string").join("."));
  expect(secret).toEqual(
    expect.arrayContaining([
      "services.nats.connection",
      "services.nats.user",
      "services.nats.passwordFile",
      "services.http.names",
      "services.artifacts.trustedKeys",
    ]),
  );
  expect(open.find(({ path }) => path.at(-1) === "url")?.shown?.part).toBe("address");
});

describe("a canary in every key", () => {
  test("every text takes at least one shape of a secret; so it is tested where it is accepted, too", () => {
    const none = leaves.filter(isText).filter((leaf) => {
      const canary = newCanary();
      return !shapesOf(canary).some((text) => {
        const tree = leaf.tree(text);
        // Some keys are bound to others: the name of a layer must be the host's.
        return EsperConfig.safeParse(tree).success;
      });
    });
    expect(none.map(({ name }) => name)).toEqual([]);
  });

  test("of every kind, in YAML and in JSON", () => {
    for (const leaf of leaves) {
      const canary = newCanary();
      for (const [kind, value] of valuesFor(canary)) {
        attempt({
          what: `${leaf.name}, ${kind}`,
          canary,
          load: (kind === "text 0" ? json : yaml)(leaf.tree(value)),
          open: isOpen(leaf, value),
        });
      }
      const number = digits();
      attempt({
        what: `${leaf.name}, number`,
        canary: number,
        load: yaml(leaf.tree(Number(number))),
        open: acceptsNumber(leaf, Number(number)),
      });
    }
    expectNone();
  });

  test("the refusal still says the place, what was expected, and kind and length of what came", () => {
    for (const leaf of leaves.filter(({ path }) => path.at(-1) !== 0)) {
      const canary = newCanary().slice(0, 23);
      const value = isText(leaf) ? [canary] : canary;
      const message = attempt({ what: leaf.name, canary, load: yaml(leaf.tree(value)) });
      expect(message, leaf.name).toContain(`${placeOf(leaf)}: expected `);
      expect(message, leaf.name).toMatch(isText(leaf) ? /found a list of 1 item/ : /found a text of 23 characters/);
      expect(message, leaf.name).toMatch(/\(line \d+\)/);
    }
    expectNone();
  });

  test("from the environment and from the command line", () => {
    for (const leaf of leaves.filter(({ path }) => path.every((part) => typeof part === "string"))) {
      const path = leaf.path.map(String);
      const canary = newCanary();
      // The members of unions that the key goes through are chosen in the file.
      const base = leaf.tree(undefined);
      const file = { text: JSON.stringify(base), file: "a.json" };
      for (const [kind, value] of valuesFor(canary).filter(([kind]) => fewKinds.includes(kind))) {
        const override: ConfigOverride = { path, value, origin: "--option" };
        attempt({
          what: `${leaf.name}, ${kind}, option`,
          canary,
          load: () => resolveConfig(file, {}, [override]),
          open: isOpen(leaf, value),
        });
        if (typeof value !== "string") continue;
        const load = () => resolveConfig(file, { [environmentName(path)]: value });
        attempt({ what: `${leaf.name}, ${kind}, environment`, canary, load, open: isOpen(leaf, value) });
      }
    }
    expectNone();
  });
});

/** A number in a key of numbers is a setting once it is accepted. */
const acceptsNumber = ({ tree }: Leaf, value: number): boolean => EsperConfig.safeParse(tree(value)).success;

describe("a canary where no key is", () => {
  const groups = [
    ...new Set(
      leaves.map(({ path }) =>
        path
          .slice(0, -1)
          .filter((part) => typeof part === "string")
          .join("."),
      ),
    ),
  ];

  test("the name and the value of an unknown key, at the top, in every group and in every list's items", () => {
    for (const leaf of leaves) {
      const canary = newCanary();
      const name = canary.slice(0, 30);
      const group = leaf.path.slice(0, -1);
      // The leaf's own group with a stranger beside it.
      const tree = leaf.valid() as Record<string, unknown>;
      const inside = group.reduce<unknown>((part, step) => (part as Record<string | number, unknown> | undefined)?.[step], tree);
      if (typeof inside !== "object" || inside === null || Array.isArray(inside)) continue;
      (inside as Record<string, unknown>)[name] = canary;
      const message = attempt({ what: `unknown in ${group.join(".")}`, canary, load: json(tree) });
      expect(message, leaf.name).toContain("unknown key of 30 characters");
    }
    expect(groups.length).toBeGreaterThan(30);
    expectNone();
  });

  test("the name and the value of an unknown variable", () => {
    const named = groups.filter((group) => configKeys.keys.some(({ path }) => path.slice(0, -1).join(".") === group));
    for (const group of named) {
      const canary = newCanary().toUpperCase();
      const prefix = group === "" ? "ESPER_" : `${environmentName(group.split("."))}__`;
      const message = attempt({
        what: `unknown variable in ${group}`,
        canary,
        load: () => resolveConfig(undefined, { [`${prefix}${canary}`]: canary }),
      });
      expect(message).toMatch(new RegExp(`${prefix}…: unknown variable of \\d+ characters`));
    }
    expectNone();
  });

  test("broken YAML and JSON, of every fault that the parser knows", () => {
    const faults = (c: string): readonly string[] => [
      `${c}`,
      `- ${c}`,
      `{"services": {"nats": {"user": "${c}"`,
      `{"user": ${c}}}`,
      `user: "${c}`,
      `user: '${c}`,
      `user: ${c}: ${c}`,
      `user: &${c} x\nb: *${c}x`,
      `b: *${c}`,
      `user: !${c} ${c}`,
      `user: !!${c} ${c}`,
      `!${c} {${c}: 1}`,
      `%${c} ${c}\n---\na: 1`,
      `user: "\\q${c}"`,
      `user: @${c}`,
      `user: \`${c}`,
      `\tuser: ${c}`,
      `user:\n\t- ${c}`,
      `user: 1\n${c}`,
      `${c}: 1\n${c}: 2`,
      `${c}\n${c}: 1`,
      `? [${c}]\n: ${c}`,
      `[${c}]: ${c}`,
      `{${c}: ${c}`,
      `user: 1\n---\nother: ${c}`,
      `user: &a &${c} 1`,
      `user: !a !${c} 1`,
      `${"k".repeat(1100)}${c}: 1`,
      `user: >${c}\n x`,
      `user: [${c}, ${c}`,
      `user: {- ${c}}`,
      `<<: ${c}`,
      `<<: [${c}]`,
      `user: !!binary ${c}*`,
      `user: !!omap ${c}`,
      `user: !!set [${c}]`,
      `user: !!int ${c}`,
      `a: &a [*a, ${c}]`,
      `\u0000${c}`,
      `\ufeff\ufeff${c}`,
    ];
    for (let index = 0; index < faults("").length; index++) {
      const canary = newCanary();
      const text = faults(canary)[index] ?? "";
      attempt({ what: `fault ${index}`, canary, load: () => resolveConfig({ text, file: "a.yaml" }) });
      attempt({
        what: `fault ${index} in the environment`,
        canary,
        load: () => resolveConfig(undefined, { ESPER_SERVICES__NATS__USER: text }),
      });
      attempt({ what: `fault ${index} in a number`, canary, load: () => resolveConfig(undefined, { ESPER_THREADS: text }) });
    }
    expectNone();
  });
});

test("the address of a URL is all that is told of it", () => {
  expect(addressOf("nats://user:pass@host.example:4222/x?y#z")).toBe("nats://host.example:4222");
  expect(addressOf("tls://[::1]:4222")).toBe("tls://[::1]:4222");
  for (const text of ["hunter2", "user:pass@host", "nats://user:12/34@host", "nats://", "nats://a b", ""])
    expect(addressOf(text)).toBeUndefined();
});

test("what a parser of JSON says is told without the text that it quotes", () => {
  for (const text of [
    "CANARY",
    '{"a": CANARY}',
    '{"a": "CANARY"',
    '{"a":1} CANARY',
    `${"[1,".repeat(40)}CANARY${",1".repeat(40)}`,
    '["CANARY\n"]',
  ]) {
    const canary = newCanary();
    let fault = "";
    try {
      JSON.parse(text.replace("CANARY", canary));
    } catch (error) {
      fault = describeError(error);
    }
    expect(fault).toMatch(/JSON/);
    expect(leakIn(fault, canary)).toBeUndefined();
  }
});

test("the search finds a canary that is cut", () => {
  const canary = newCanary();
  expect(leakIn(`found "${canary.slice(10, 30)}…`, canary)).toBeDefined();
  expect(leakIn(canary.slice(0, 7), canary)).toBeUndefined();
});

test("the figure: keys, tries, and what was told", () => {
  expect(tally.tries).toBeGreaterThan(7_000);
  expect(tally.refused).toBeGreaterThan(5_000);
  expect(tally.accepted).toBeGreaterThan(300);
  process.stdout.write(
    `canaries: ${leaves.length} keys, ${tally.tries} configurations (${tally.refused} refused, ${tally.accepted} accepted), ${tally.leaks} told\n`,
  );
  expect(tally.leaks).toBe(0);
});
