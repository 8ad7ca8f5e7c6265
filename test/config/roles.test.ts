/** Roles of a node: a forge alone, or all that a run needs, with or without a forge. */
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { EsperConfig } from "../../src/contracts/config.ts";
import { forgeRoles, isForgeOnly, nodeRoles, runRoles } from "../../src/contracts/config-roles.ts";

const parsed = (roles?: unknown) => EsperConfig.safeParse(roles === undefined ? {} : { roles });

describe("roles", () => {
  it("are all by default; a forge has its own alone, a run may leave those out", () => {
    expect(parsed().data?.roles).toEqual(nodeRoles);
    for (const roles of [["tezzeret"], ["urabrask"], ["urabrask", "tezzeret"], [...runRoles], [...runRoles, "urabrask"]])
      expect(parsed(roles).success, roles.join(" ")).toBe(true);
    expect(
      [[...forgeRoles], ["tezzeret"], [...runRoles], [...nodeRoles]].map((roles) => isForgeOnly(parsed(roles).data!.roles)),
    ).toEqual([true, true, false, false]);
  });

  it("that leave a run without what it needs, or name one twice, are refused with what would do", () => {
    for (const roles of [[], ["tolaria"], [...runRoles.slice(1)], ["tezzeret", "urza"], ["tezzeret", "tezzeret"], ["karn"]])
      expect(parsed(roles).success, roles.join(" ")).toBe(false);
    expect(parsed(["tolaria"]).error?.message).toMatch(/either forge roles alone \(tezzeret, urabrask\) or all of tolaria/);
  });

  it("configs/forge.yaml is a forge's", () => {
    const config = loadConfig({ file: "configs/forge.yaml", environment: {}, overrides: [] });
    expect(isForgeOnly(config.roles)).toBe(true);
    expect(config.services.nats).toEqual({ mode: "external", connection: "forge.json" });
  });
});
