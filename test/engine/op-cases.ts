/** For each primitive operator, arbitrary inputs and attributes that it takes: what the contract suite feeds to every engine. */
import fc from "fast-check";
import type { OpAttributes, Program, Tensor } from "../../src/contracts/graph.ts";
import type { NodeOf, PrimitiveOp } from "../../src/graph/operators/operator.ts";
import { createRandom } from "../../src/graph/random.ts";
import { sizeOf } from "../../src/graph/shapes.ts";

/** How an input is drawn: `coarse` numbers are multiples of ½, so that ties occur. */
type Draw = "normal" | "positive" | "coarse" | { readonly idsBelow: number };

interface CaseInput {
  readonly shape: readonly number[];
  readonly draw: Draw;
}

interface OpCase<O extends PrimitiveOp> {
  readonly inputs: readonly CaseInput[];
  readonly attributes: OpAttributes<O>;
}

const dim = fc.integer({ min: 1, max: 5 });
const shape = fc.array(dim, { minLength: 0, maxLength: 4 });
const shapeWithAxes = fc.array(dim, { minLength: 1, maxLength: 4 });
const input = (dims: readonly number[], draw: Draw = "normal"): CaseInput => ({ shape: dims, draw });

const unary = (draw: Draw = "normal") => shape.map((dims) => ({ inputs: [input(dims, draw)], attributes: {} }));

/** Two shapes that broadcast against each other. */
const broadcastPair = fc
  .tuple(shape, fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }), fc.nat({ max: 4 }), fc.boolean())
  .map(([dims, ones, dropped, swap]) => {
    const other = dims.map((size, axis) => (ones[axis] ? 1 : size)).slice(Math.min(dropped, dims.length));
    return swap ? [other, dims] : [dims, other];
  });

const binary = (left: Draw = "normal", right: Draw = left) =>
  broadcastPair.map(([a, b]) => ({ inputs: [input(a!, left), input(b!, right)], attributes: {} }));

const reduction = fc
  .tuple(shapeWithAxes, fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }), fc.boolean())
  .map(([dims, chosen, keepDims]) => ({
    inputs: [input(dims)],
    attributes: { axes: dims.map((_, axis) => axis).filter((axis) => chosen[axis]), keepDims },
  }));

const withAxis = (draw: Draw = "normal") =>
  fc.tuple(shapeWithAxes, fc.nat({ max: 3 })).map(([dims, axis]) => ({
    inputs: [input(dims, draw)],
    attributes: { axis: axis % dims.length },
  }));

const matMul = fc
  .record({
    leading: fc.array(dim, { maxLength: 2 }),
    m: dim,
    k: dim,
    n: dim,
    transposeA: fc.boolean(),
    transposeB: fc.boolean(),
    shared: fc.boolean(),
  })
  .map(({ leading, m, k, n, transposeA, transposeB, shared }) => ({
    inputs: [
      input([...leading, ...(transposeA ? [k, m] : [m, k])]),
      input([...(shared ? [] : leading), ...(transposeB ? [n, k] : [k, n])]),
    ],
    attributes: { transposeA, transposeB },
  }));

const pair = (min: number, max: number): fc.Arbitrary<[number, number]> =>
  fc.tuple(fc.integer({ min, max }), fc.integer({ min, max }));

/** A convolution that has at least one window along each axis. Pooling takes padding smaller than the kernel only. */
const windowed = (pooling: boolean) =>
  fc
    .record({
      n: fc.integer({ min: 1, max: 3 }),
      groups: fc.integer({ min: 1, max: 3 }),
      channelsPerGroup: fc.constantFrom(1, 2, 3, 9),
      outPerGroup: fc.integer({ min: 1, max: 3 }),
      kernelSize: pair(1, 3),
      strides: pair(1, 3),
      extra: pair(0, 5),
      pads: fc.tuple(fc.nat({ max: 3 }), fc.nat({ max: 3 }), fc.nat({ max: 3 }), fc.nat({ max: 3 })),
    })
    .map(({ n, groups, channelsPerGroup, outPerGroup, kernelSize, strides, extra, pads: drawnPads }) => {
      const [top, left, bottom, right] = drawnPads.map((size, index) => (pooling ? size % kernelSize[index % 2]! : size));
      const pads: [number, number, number, number] = [top!, left!, bottom!, right!];
      const inputSize: [number, number] = [kernelSize[0] + extra[0], kernelSize[1] + extra[1]];
      const windows = [0, 1].map(
        (axis) => Math.floor((inputSize[axis]! + pads[axis]! + pads[axis + 2]! - kernelSize[axis]!) / strides[axis]!) + 1,
      );
      return {
        attributes: { strides, pads, groups },
        pooling: { strides, pads, kernelSize },
        inputSize,
        kernelSize,
        x: input([n, groups * channelsPerGroup, ...inputSize]),
        w: input([groups * outPerGroup, channelsPerGroup, ...kernelSize]),
        dy: input([n, groups * outPerGroup, ...windows]),
        pooledDy: input([n, groups * channelsPerGroup, ...windows]),
      };
    });

const convolution = windowed(false);
const pooled = windowed(true);

const sliced = shape.chain((dims) =>
  fc.tuple(...dims.map((size) => fc.tuple(fc.nat({ max: size - 1 }), fc.nat({ max: size - 1 }), fc.boolean()))).map((cuts) => ({
    inputs: [input(dims)],
    attributes: {
      starts: cuts.map(([a, b]) => Math.min(a, b)),
      ends: cuts.map(([a, b, open]) => (open ? -1 : Math.max(a, b) + 1)),
    },
  })),
);

const lookup = fc.tuple(fc.array(dim, { maxLength: 3 }), dim, dim);

const arbitraries: { readonly [O in PrimitiveOp]: fc.Arbitrary<OpCase<O>> } = {
  add: binary(),
  sub: binary(),
  mul: binary(),
  div: binary("normal", "positive"),
  greater: binary("coarse"),
  equal: binary({ idsBelow: 3 }),
  neg: unary(),
  exp: unary(),
  log: unary("positive"),
  sqrt: unary("positive"),
  tanh: unary(),
  sigmoid: unary(),
  relu: unary(),
  erf: unary(),
  stopGradient: unary(),
  fill: fc
    .tuple(shape, fc.float({ min: -4, max: 4, noNaN: true }))
    .map(([dims, value]) => ({ inputs: [], attributes: { value, shape: dims } })),
  matMul,
  conv2d: convolution.map(({ x, w, attributes }) => ({ inputs: [x, w], attributes })),
  conv2dInputGrad: convolution.map(({ dy, w, attributes, inputSize }) => ({
    inputs: [dy, w],
    attributes: { ...attributes, inputSize },
  })),
  conv2dFilterGrad: convolution.map(({ x, dy, attributes, kernelSize }) => ({
    inputs: [x, dy],
    attributes: { ...attributes, kernelSize },
  })),
  avgPool2d: pooled.map(({ x, pooling }) => ({ inputs: [x], attributes: pooling })),
  avgPool2dGrad: pooled.map(({ pooledDy, pooling, inputSize }) => ({
    inputs: [pooledDy],
    attributes: { ...pooling, inputSize },
  })),
  reduceSum: reduction,
  reduceMean: reduction,
  reduceMax: reduction,
  broadcastTo: broadcastPair.map(([a, b]) => {
    const [narrow, wide] = a!.length < b!.length || sizeOf(a!) < sizeOf(b!) ? [a!, b!] : [b!, a!];
    return { inputs: [input(narrow)], attributes: { shape: [...wide] } };
  }),
  reshape: fc.tuple(shape, fc.boolean()).map(([dims, inferred]) => ({
    inputs: [input(dims)],
    attributes: { shape: inferred ? [...dims.slice(1).reverse(), -1] : [...dims].reverse() },
  })),
  transpose: shape.chain((dims) =>
    fc
      .shuffledSubarray(
        dims.map((_, axis) => axis),
        { minLength: dims.length },
      )
      .map((perm) => ({ inputs: [input(dims)], attributes: { perm } })),
  ),
  concat: fc
    .tuple(shapeWithAxes, fc.nat({ max: 3 }), fc.array(dim, { minLength: 1, maxLength: 3 }))
    .map(([dims, axis, sizes]) => ({
      inputs: sizes.map((size) => input(dims.with(axis % dims.length, size))),
      attributes: { axis: axis % dims.length },
    })),
  slice: sliced,
  pad: shape.chain((dims) =>
    fc.tuple(...dims.map(() => pair(0, 3))).map((pads) => ({
      inputs: [input(dims)],
      attributes: { before: pads.map(([before]) => before), after: pads.map(([, after]) => after) },
    })),
  ),
  softmax: withAxis(),
  logSoftmax: withAxis(),
  gather: lookup.map(([ids, rows, columns]) => ({
    inputs: [input([rows, columns]), input(ids, { idsBelow: rows })],
    attributes: {},
  })),
  // Ids up to twice the depth: those beyond it give rows of zeros.
  oneHot: lookup.map(([ids, depth]) => ({ inputs: [input(ids, { idsBelow: 2 * depth })], attributes: { depth } })),
  argMax: withAxis("coarse"),
};

const drawTensor = ({ shape: dims, draw }: CaseInput, seed: number): Tensor => {
  const random = createRandom(seed);
  const length = sizeOf(dims);
  if (typeof draw === "object") {
    return { dtype: "int32", shape: dims, data: Int32Array.from({ length }, () => random.integer(draw.idsBelow)) };
  }
  const number = {
    normal: () => random.normal(),
    positive: () => 0.2 + 3 * random.uniform(),
    coarse: () => Math.round(2 * random.normal()) / 2,
  }[draw];
  return { dtype: "float32", shape: dims, data: Float32Array.from({ length }, number) };
};

/** A program of one node with its feeds. */
export const opCase = <O extends PrimitiveOp>(op: O): fc.Arbitrary<{ program: Program; feeds: Record<string, Tensor> }> =>
  fc.tuple(arbitraries[op], fc.integer({ min: 0, max: 1_000_000 })).map(([{ inputs, attributes }, seed]) => {
    const feeds = Object.fromEntries(inputs.map((each, index) => [`in${index}`, drawTensor(each, seed + index)]));
    const node: NodeOf<PrimitiveOp> = { id: "node", op, inputs: Object.keys(feeds), attributes };
    return {
      program: {
        inputs: Object.entries(feeds).map(([name, tensor]) => ({ name, dtype: tensor.dtype, shape: tensor.shape })),
        nodes: [node as Program["nodes"][number]],
        outputs: [{ name: "out", value: "node" }],
      },
      feeds,
    };
  });

export const opsWithCases = Object.keys(arbitraries) as PrimitiveOp[];
