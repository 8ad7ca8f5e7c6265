/** src/contracts/calibrated.ts as the calibration writes it: the constants that ship, and on which hosts each part of them was set. */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { calibrated } from "../src/contracts/calibrated.ts";
import type { Calibration } from "../src/policy/calibration.ts";
import type { Thresholds } from "./fit-trigger.ts";

export const calibratedFile = fileURLToPath(new URL("../src/contracts/calibrated.ts", import.meta.url));

export interface Calibrated {
  readonly trigger: Thresholds;
  readonly confidence: Calibration["confidence"];
  readonly forecast: Calibration["forecast"];
  readonly provenance: Readonly<Record<"trigger" | "confidence" | "forecast", string>>;
}
export type CalibratedPart = keyof Calibrated["provenance"];

const valueText = (value: number | string): string => (typeof value === "string" ? JSON.stringify(value) : String(value));

const partText = (name: string, values: object): string => {
  const rows = Object.entries(values).map(([key, value]: [string, number | string]) => {
    const text = `    ${key}: ${valueText(value)},`;
    return text.length <= 130 ? text : `    ${key}:\n      ${valueText(value)},`;
  });
  return [`  ${name}: {`, ...rows, "  },"].join("\n");
};

/** Pure: the same constants give the same text. */
export const calibratedText = ({ trigger, confidence, forecast, provenance }: Calibrated): string =>
  [
    "/**",
    " * Constants that were measured and not chosen: thresholds of the trigger, confidence and forecast. Written by",
    " * `node --import tsx bench/calibrate.ts --write`; `provenance` says on which hosts.",
    " */",
    "export const calibrated = {",
    ...Object.entries({ trigger, confidence, forecast, provenance }).map(([name, values]) => partText(name, values)),
    "} as const;",
    "",
  ].join("\n");

/** Parts that were not fitted stay as they ship. */
export const writeCalibrated = (
  parts: Partial<Omit<Calibrated, "provenance">>,
  provenance: Partial<Calibrated["provenance"]>,
): void =>
  writeFileSync(
    calibratedFile,
    calibratedText({ ...calibrated, ...parts, provenance: { ...calibrated.provenance, ...provenance } }),
  );
