/** `esper machines` in every form, to the terminal and to a file. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { measureTitle } from "../../scripts/machines/text.ts";
import { everyMachine } from "../../src/cli/every-machine.ts";
import { runCommandLine } from "../../src/cli/program.ts";
import { programTree, type TreeNode } from "../../src/cli/view/supervision-tree.ts";
import { treeSvg } from "../../src/cli/view/supervision-tree-svg.ts";
import type { RunNode } from "../../src/node/api.ts";
import { createTestContext } from "./context.ts";

const noNode: RunNode = async () => {
  throw new Error("no node is needed");
};
const start = async (...args: readonly string[]) => {
  const { context, out, err } = createTestContext(noNode, {});
  const exitCode = await runCommandLine(["machines", ...args], context);
  return { exitCode, out: out.text(), err: err.text() };
};

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "esper-machines-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("machines", () => {
  test.each(Object.keys(everyMachine))("%s in each form", async (name) => {
    const begins = {
      text: `${name}: `,
      json: `{\n  "name": "${name}"`,
      svg: '<svg xmlns="http://www.w3.org/2000/svg"',
      mermaid: "stateDiagram-v2\n",
      scxml: '<?xml version="1.0" encoding="UTF-8"?>\n',
      stately: `{\n  "id": "${name}"`,
    };
    for (const [form, begin] of Object.entries(begins)) {
      const { exitCode, out, err } = await start(name, "--format", form);
      expect([exitCode, err, out.slice(0, begin.length)]).toEqual([0, "", begin]);
      expect(out.endsWith("\n")).toBe(true);
    }
  });

  test("--out writes a file, in a folder that is made, in place of the one that was there", async () => {
    const file = join(folder, "drawings", "seed.svg");
    const first = await start("seed", "--format", "svg", "--out", file);
    expect(first).toEqual({ exitCode: 0, out: `wrote ${file}\n`, err: "" });
    const light = readFileSync(file, "utf8");
    await start("seed", "--format", "svg", "--theme", "dark", "--out", file);
    expect(readFileSync(file, "utf8")).not.toBe(light);
    expect(light).toBe((await start("seed", "--format", "svg", "--theme", "light")).out);
    expect(readdirSync(join(folder, "drawings"))).toEqual(["seed.svg"]);
  });

  test("a file that cannot be written is told with its path", async () => {
    writeFileSync(join(folder, "taken"), "");
    const { exitCode, err, out } = await start("run", "--out", join(folder, "taken", "run.txt"));
    expect([exitCode, out]).toEqual([5, ""]);
    expect(err).toContain(join(folder, "taken"));
  });

  test.each([
    [["sed", "--format", "svg"], /expected one of seed, .*, got "sed"; did you mean seed\?/],
    [["constructor"], /expected one of seed, .*, got "constructor"/],
    [
      ["seed", "--format", "svgg"],
      /expected --format one of text, json, svg, mermaid, scxml, stately, got "svgg"; did you mean svg\?/,
    ],
    [["seed", "--format", "toString"], /got "toString"/],
    [["--format", "mermaid"], /expected the name of a machine before --format mermaid, got none; one of seed, run, /],
    [["seed", "--theme", "dark"], /expected --theme with --format svg, got it with text; leave it out/],
    [["seed", "--format", "svg", "--theme", "blue"], /Allowed choices are light, dark/],
  ])("%j is refused in words", async (args, text) => {
    const { exitCode, out, err } = await start(...args);
    expect([exitCode, out]).toEqual([2, ""]);
    expect(err).toMatch(text);
  });
});

describe("topology", () => {
  const nodes = (tree: TreeNode): TreeNode[] => [tree, ...tree.children.flatMap(nodes)];

  test("is the tree that ARCHITECTURE.md draws", async () => {
    const { exitCode, out } = await start("topology");
    expect(exitCode).toBe(0);
    const drawn = out.trimEnd().replaceAll(/(?:, | \()(?:transient|temporary)\)?/g, "");
    expect(readFileSync("ARCHITECTURE.md", "utf8")).toContain(`\`\`\`\n${drawn}\n\`\`\``);
  });

  test("every service that a node may start is in it", () => {
    const ids = nodes(programTree()).map(({ id }) => id);
    const source = readFileSync("src/actors/topology.ts", "utf8");
    const services = [...source.matchAll(/^ {2}readonly (\w+)\??: Starter/gm)].map(([, name]) => name!);
    expect(services.length).toBeGreaterThan(10);
    expect(ids).toEqual(expect.arrayContaining(services));
  });

  test("as JSON, Mermaid and SVG it has the same nodes", async () => {
    const tree = JSON.parse((await start("topology", "--format", "json")).out) as TreeNode;
    expect(tree).toEqual(programTree());
    const count = nodes(tree).length;
    const mermaid = (await start("topology", "--format", "mermaid")).out;
    expect(mermaid.trimEnd().split("\n")).toHaveLength(count + 1);
    expect(mermaid).toContain('["run#58;#60;id#62; (one_for_all)"]');
    const { out: svg } = await start("topology", "--format", "svg", "--theme", "dark");
    expect([...svg.matchAll(/data-actor="([^"]*)"/g)].map(([, id]) => id)).toEqual(
      nodes(tree).map(({ id }) => id.replace("<id>", "&lt;id&gt;")),
    );
    expect(svg).toContain("control (one_for_one) supervises gate, warden,");
  });

  test("names and strategies fit in their boxes", () => {
    const svg = treeSvg(programTree(), "light");
    const groups = [...svg.matchAll(/<g data-actor="[^"]*"><rect [^>]*width="(\d+)"[^>]*>(.*?)<\/g>/g)];
    expect(groups).toHaveLength(nodes(programTree()).length);
    for (const [, width, texts] of groups) {
      const lines = [...texts!.matchAll(/<text [^>]*font-size="(\d+)"[^>]*>([^<]*)</g)];
      expect(lines.length).toBeGreaterThan(0);
      for (const [, size, text] of lines)
        expect(measureTitle(Number(size))(text!.replaceAll(/&[a-z]+;/g, "<")), text).toBeLessThan(Number(width) - 28);
    }
  });

  test("it is no state machine", async () => {
    for (const form of ["scxml", "stately"]) {
      const { exitCode, err } = await start("topology", "--format", form);
      expect([exitCode, err]).toEqual([2, expect.stringContaining(`which is no state machine, got ${form}`)]);
    }
    expect((await start("topolgy")).err).toContain("did you mean topology?");
  });
});
