// Takes a network with a crippled layer, lets it repair itself while it trains, and writes it for onnxruntime.
// Build first (`npm run build`), then: node examples/grow-your-own.mjs [folder to write to]
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { wrap } from "../dist/index.js";

// Seven arms of a spiral; which one a point lies on is to be learnt.
const [samples, arms] = [3000, 7];
const x = [];
const y = [];
for (let i = 0; i < samples; i++) {
  const arm = i % arms;
  const radius = Math.sqrt(i / samples);
  const angle = 2.5 * radius + (2 * Math.PI * arm) / arms;
  const wobble = 0.05 * Math.sin(i * 12.9898);
  x.push([2 * radius * Math.cos(angle) + wobble, 2 * radius * Math.sin(angle) - wobble]);
  y.push(arm);
}

// A model of your own: a tf.LayersModel, "model.onnx", "model/model.json", or, as here, a configuration.
// The second layer has one unit: whatever the others learn has to pass through it.
const model = await wrap({ name: "mlp", widths: [64, 1, 64] });

const result = await model.fit(
  { x, y },
  {
    epochs: 30,
    growth: { signal: { warmupSteps: 100 }, training: { steps: 60 }, fineTuning: { steps: 60 } },
    onTransition: ({ seedId, from, to, reason }) => console.log(`${seedId}  ${from} → ${to}  ${reason}`),
  },
);

console.log(model.summary());
console.log(`kept: ${result.grown.join(", ") || "nothing"}`);
console.log(`held-out accuracy: ${result.validation.accuracy.toFixed(3)}`);

const folder = process.argv[2] ?? mkdtempSync(join(tmpdir(), "esper-example-"));
console.log(`written: ${(await model.export(join(folder, "grown.onnx"))).join(", ")}`);
await model.dispose();
