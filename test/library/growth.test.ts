/** Growth in a user's program with what the library chooses by itself: on small data, on a frozen base, and where it has no room. */
import { expect, test } from "vitest";
import { wrap } from "../../src/library/wrap.ts";
import { draw } from "../interchange/support.ts";

/** Points of a square; inside a circle or not. */
const circle = (count: number) => {
  const x = Array.from({ length: count }, (_, i) => [...draw([2], `circle ${i}`)]);
  return { x, y: x.map(([a, b]) => (a! * a! + b! * b! < 1 ? 1 : 0)) };
};

test("on a thousand samples a layer of one unit is found, bridged and kept, without a setting", async () => {
  const data = circle(1000);
  const alone = await wrap({ name: "mlp", widths: [16, 1, 16] });
  const plain = await alone.fit(data, { epochs: 40, growth: false });
  const model = await wrap({ name: "mlp", widths: [16, 1, 16] });
  const result = await model.fit(data, { epochs: 40, growth: true });
  expect(result.grown).toEqual(["seed:h2"]);
  expect(result.reason).toBe("the epochs are complete");
  expect(result.validation.loss).toBeLessThan(0.7 * plain.validation.loss);
  expect(model.summary()).toMatch(/seed:h2 +grown +h2 → /);
}, 60_000);

test("without a budget for growth nothing is measured, and the decision says why", async () => {
  const model = await wrap({ name: "mlp", widths: [16, 1, 16] });
  const { decisions, flops, grown } = await model.fit(circle(400), { epochs: 20, growthBudget: 0 });
  expect([grown, flops.signal]).toEqual([[], 0]);
  expect(decisions[0]!.reason).toMatch(
    /^no layer was measured in this window although it was due: .* have no room for a measurement/,
  );
});

test("a frozen base that nothing is wrong with grows adapters to other data, and is itself without them", async () => {
  const { x, y } = circle(1200);
  const model = await wrap({ name: "mlp", widths: [24, 24] });
  await model.fit({ x, y }, { epochs: 15, growth: false });
  const before = (await model.predict(x)).data;
  const other = { x, y: x.map(([a, b]) => (a! * b! > 0 ? 1 : 0)) };
  const start = await model.evaluate(other);
  const { grown, windows, validation } = await model.fit(other, { epochs: 20, growth: { base: "frozen" } });
  expect(grown.length).toBeGreaterThan(0);
  expect(validation.accuracy).toBeGreaterThan(start.accuracy + 0.2);
  expect(model.adapters().map(({ seedId }) => seedId)).toEqual(grown);
  expect((await model.withoutAdapters().predict(x)).data).toEqual(before);
  // The windows of twenty passes, and those of a trial that had begun.
  expect(windows.length).toBeLessThan(40);
}, 60_000);
