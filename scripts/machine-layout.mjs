/**
 * Lays every machine of the program out and writes src/machines/drawing/layouts.json, which the program draws from.
 *
 *   node --import tsx scripts/machine-layout.mjs
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { layoutsText } from "./machines/layouts.ts";

const file = fileURLToPath(new URL("../src/machines/drawing/layouts.json", import.meta.url));
const read = () => {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
};

const text = await layoutsText();
if (text === read()) console.log("the machines' layouts are up to date");
else {
  writeFileSync(file, text);
  console.log(`wrote ${file}`);
}
