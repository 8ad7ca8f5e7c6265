/** Names from other programs as names of ours: values of a graph and sites of a host. */

const valueLengthMax = 120;

/**
 * A value's name without the characters that names of ours give a meaning (`:` for seeds and alpha, `'` for updates); never one that
 * is taken. The name is taken afterwards.
 */
export const valueName = (wanted: string, taken: Set<string>): string => {
  const plain = wanted
    .replaceAll(/[^A-Za-z0-9._/-]+/g, "_")
    .replace(/^[_/]+/, "")
    .slice(-valueLengthMax);
  return claim(plain === "" ? "value" : plain, taken);
};

/** A layer's name that can stand as a site: letters, digits and `. _ -`, and no `.<digits>` at its end, which is a seed's number. */
export const siteName = (wanted: string, taken: Set<string>): string => {
  const plain = wanted
    .replaceAll("/", ".")
    .replaceAll(/[^A-Za-z0-9._-]+/g, "-")
    .replace(/^[._-]+/, "")
    .slice(0, valueLengthMax - 8)
    .replace(/\.(\d*)$/, "-$1");
  return claim(plain === "" ? "layer" : plain, taken);
};

const claim = (stem: string, taken: Set<string>): string => {
  let name = stem;
  for (let n = 2; taken.has(name); n++) name = `${stem}-${n}`;
  taken.add(name);
  return name;
};
