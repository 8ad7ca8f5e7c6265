/** The table of `esper services`: who offers what; whatever a stranger calls itself, the terminal is not steered by it. */
import { describe, expect, it } from "vitest";
import type { ListedService } from "../../src/bus/service-list.ts";
import { formatServices } from "../../src/cli/view/format-services.ts";

const service = (over: Partial<ListedService> = {}): ListedService => ({
  node: "forge-1",
  service: "tezzeret",
  id: "a",
  version: "1.0.0",
  tags: ["avx512", "gpu"],
  costTier: 2,
  offers: [{ kind: "task", subject: "compilation.blueprint.submitted", about: "" }],
  ...over,
});

describe("esper services", () => {
  it("shows one line for each offer, under who makes it", () => {
    const request = (subject: string) => ({ kind: "request" as const, subject, about: "" });
    const gate = service({
      node: "first",
      service: "gate",
      tags: [],
      offers: [request("a.b"), request("a.b.*"), request("c.d")],
    });
    expect(formatServices([gate, service()])).toEqual([
      "node     actor     cost  tags        offers",
      "first    gate      2     -           request a.b",
      "                                     request c.d",
      "forge-1  tezzeret  2     avx512,gpu  task compilation.blueprint.submitted",
    ]);
  });

  it("says what is not told, and when nobody answers", () => {
    const { costTier: _costTier, ...bare } = service({ node: "", tags: [], offers: [] });
    expect(formatServices([bare])[1]).toBe("-     tezzeret  -     -     -");
    expect(formatServices([])).toEqual(["nobody answers"]);
  });

  it("a name with control characters steers nothing", () => {
    const lines = formatServices([service({ node: "\u001b[2J\r\nforge", tags: ["\u0007"] })]);
    expect(lines.join("")).toMatch(/^[\x20-\x7e]*$/);
  });
});
