/** Writes IDX files of unsigned bytes for the tests. */
export const encodeIdx = (shape: readonly number[], elements: Uint8Array): Uint8Array => {
  const header = new Uint8Array(4 + 4 * shape.length);
  const view = new DataView(header.buffer);
  header.set([0, 0, 8, shape.length]);
  for (const [axis, dim] of shape.entries()) view.setUint32(4 + 4 * axis, dim);
  return Uint8Array.from([...header, ...elements]);
};
