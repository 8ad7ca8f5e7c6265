/** Plain matrix arithmetic on rows of numbers, to check the closed forms against. */
import type { RandomSource } from "../../src/contracts/ports.ts";

export type Rows = number[][];

export const normals = (random: RandomSource, rows: number, columns: number): Rows =>
  Array.from({ length: rows }, () => Array.from({ length: columns }, () => random.normal()));

export const transpose = (a: Rows): Rows => a[0]!.map((_, column) => a.map((row) => row[column]!));

export const product = (a: Rows, b: Rows): Rows =>
  a.map((row) => b[0]!.map((_, column) => row.reduce((sum, value, k) => sum + value * b[k]![column]!, 0)));

export const centred = (a: Rows): Rows => {
  const means = transpose(a).map((column) => column.reduce((sum, value) => sum + value, 0) / column.length);
  return a.map((row) => row.map((value, column) => value - means[column]!));
};

export const momentsOf = (features: Rows, targets: Rows): { gram: Rows; cross: Rows; power: number } => {
  const scale = (rows: Rows): Rows => rows.map((row) => row.map((value) => value / features.length));
  return {
    gram: scale(product(transpose(features), features)),
    cross: scale(product(transpose(features), targets)),
    power: targets.flat().reduce((sum, value) => sum + value ** 2, 0) / features.length,
  };
};

/** a⁻¹b by Gauss–Jordan elimination with pivots. */
export const eliminate = (a: Rows, b: Rows): Rows => {
  const rows = a.map((row, i) => [...row, ...b[i]!]);
  for (let column = 0; column < a.length; column++) {
    const pivot = rows.reduce(
      (best, row, i) => (i >= column && Math.abs(row[column]!) > Math.abs(rows[best]![column]!) ? i : best),
      column,
    );
    [rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!];
    for (let i = 0; i < rows.length; i++) {
      if (i === column) continue;
      const factor = rows[i]![column]! / rows[column]![column]!;
      rows[i] = rows[i]!.map((value, k) => value - factor * rows[column]![k]!);
    }
  }
  return rows.map((row, i) => row.slice(a.length).map((value) => value / row[i]!));
};
