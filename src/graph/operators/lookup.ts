/** Operators that turn integers into rows. An id outside its table is an error on the reference; engines may differ. */
import { ContractError } from "../../contracts/errors.ts";
import { sizeOf } from "../shapes.ts";
import { describeTypes, isFloat, noFlops, type Operator } from "./operator.ts";

/** table [V, D], ids [...] → [..., D]: the embedding. */
export const gather: Operator<"gather"> = {
  arity: 2,
  infer: (inputs, _attributes, check) => {
    const [table, ids] = [inputs[0]!, inputs[1]!];
    check(
      isFloat(table) && table.shape.length === 2 && ids.dtype === "int32",
      "a float32 table of rank 2 and int32 ids",
      describeTypes(inputs),
    );
    return { dtype: "float32", shape: [...ids.shape, table.shape[1]!] };
  },
  forward: (inputs, _attributes, output) => {
    const [table, ids] = [inputs[0]!, inputs[1]!];
    const [rows, width] = [table.shape[0]!, table.shape[1]!];
    const result = new Float64Array(sizeOf(output.shape));
    ids.data.forEach((id, i) => {
      if (id < 0 || id >= rows)
        throw new ContractError(`gather: expected ids from 0 to ${rows - 1}, got ${id}; check the data that feeds it`);
      result.set(table.data.subarray(id * width, (id + 1) * width), i * width);
    });
    return result;
  },
  // The scatter of rows, as a product with one-hot rows: exact, and every engine has it.
  backward: ({ b, inputs, y, dy }) => {
    const [table, ids] = [inputs[0]!, inputs[1]!];
    const [rows, width] = [b.type(table).shape[0]!, b.type(table).shape[1]!];
    const count = sizeOf(b.type(ids).shape);
    return [
      () => {
        const picks = b.reshape(b.emit("oneHot", [ids], { depth: rows }), [count, rows]);
        return b.matMul(picks, b.reshape(b.broadcastTo(dy, b.type(y).shape), [count, width]), true, false);
      },
      null,
    ];
  },
  flops: noFlops,
};

/** An id outside 0 … depth − 1 gives a row of zeros. */
export const oneHot: Operator<"oneHot"> = {
  arity: 1,
  infer: (inputs, { depth }, check) => {
    check(inputs[0]!.dtype === "int32", "int32 ids", describeTypes(inputs));
    return { dtype: "float32", shape: [...inputs[0]!.shape, depth] };
  },
  forward: (inputs, { depth }, output) => {
    const result = new Float64Array(sizeOf(output.shape));
    inputs[0]!.data.forEach((id, i) => {
      if (id >= 0 && id < depth) result[i * depth + id] = 1;
    });
    return result;
  },
  backward: null,
  flops: noFlops,
};
