/** Option values as they are typed. */
import { InvalidArgumentError } from "commander";

export const integerFrom =
  (min: number, max = Number.MAX_SAFE_INTEGER) =>
  (text: string): number => {
    const value = Number(text);
    if (text.trim() !== "" && Number.isSafeInteger(value) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(
      `expected an integer of ${min} or more${max < Number.MAX_SAFE_INTEGER ? `, at most ${max}` : ""}.`,
    );
  };

export const notNegative = (text: string): number => {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value < 0)
    throw new InvalidArgumentError("expected a number of 0 or more.");
  return value;
};

/** `3,7` */
export const unitList = (text: string): number[] => {
  const units = text.split(",").map(Number);
  if (text.trim() !== "" && units.every((unit) => Number.isSafeInteger(unit) && unit >= 0)) return units;
  throw new InvalidArgumentError("expected units separated by commas, for example 3,7.");
};

/** `8,28,28` */
export const numberList = (text: string): number[] => {
  const sizes = text.split(",").map(Number);
  if (text.trim() !== "" && sizes.every((size) => Number.isSafeInteger(size) && size > 0)) return sizes;
  throw new InvalidArgumentError("expected sizes separated by commas, for example 8,28,28.");
};

export const wordList = (text: string): string[] => text.split(",").flatMap((word) => (word.trim() === "" ? [] : [word.trim()]));

/** `name=value`, several times; a value that is no number stays text. */
export const numbersByName = (text: string, before: unknown): Record<string, number | string> => {
  const [name, value, ...rest] = text.split("=");
  if (!name || value === undefined || value.trim() === "" || rest.length > 0)
    throw new InvalidArgumentError("expected name=value, for example trigger.gapMin=0.05.");
  const number = Number(value);
  const known = typeof before === "object" && before !== null ? (before as Record<string, number | string>) : {};
  return { ...known, [name]: Number.isFinite(number) ? number : value };
};
