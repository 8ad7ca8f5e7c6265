/** A resumed run has an id of its own; what was stored under the old one is told again under the new one. */

/** A copy of plain JSON in which every `runId` that names `from` names `to`. */
export const relabelRun = (value: unknown, from: string, to: string): unknown => {
  if (Array.isArray(value)) return value.map((each) => relabelRun(each, from, to));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, key === "runId" && each === from ? to : relabelRun(each, from, to)]),
  );
};
