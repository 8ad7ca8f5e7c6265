/**
 * Follows units of one layer through a graph: which slices of which parameters make them, carry them along and read them.
 *
 * U1 Every reader of a value that loses units is accounted for, and no output of the graph is narrowed; otherwise the trace is refused.
 * U2 No other layer is narrowed on the way back, and units that are added to another value, as in a residual sum, stay.
 * U3 A removed unit leaves a constant behind. Its readers get that constant into their bias or running mean; where the unit is not one
 *    constant for all samples and places, reading it is refused.
 */
import type { GraphNode, Host, HostLayer, Tensor } from "../contracts/graph.ts";
import { alignedAxis, GraphView } from "./graph-view.ts";
import { type Dims, sameShape } from "./shapes.ts";
import {
  applyToConstants,
  type Constant,
  constantsInside,
  convolutionSum,
  depthwiseConstants,
  type Lost,
  matrixSum,
  type NodeOf,
  normalizeConstant,
  reshapedAxis,
  shiftTarget,
  UnitRefusal,
} from "./unit-constants.ts";

export interface ParameterCut {
  readonly axis: number;
  /** Indices along the axis that go, ascending. */
  readonly indices: Dims;
  /** `input`: the axis that a weight sums over. */
  readonly role: "unit" | "input";
}

export interface UnitTrace {
  readonly cuts: ReadonlyMap<string, readonly ParameterCut[]>;
  /** Parameter → what is added to each of its entries before it is cut. */
  readonly shifts: ReadonlyMap<string, Float64Array>;
  /** Nodes whose attributes name the narrowed size, by id. */
  readonly edits: ReadonlyMap<string, GraphNode>;
}

const opSet = (...ops: readonly GraphNode["op"][]): ReadonlySet<string> => new Set(ops);
const unaryOps = opSet("neg", "exp", "log", "sqrt", "tanh", "sigmoid", "relu", "erf", "stopGradient", "gelu", "dropout");
const binaryOps = opSet("add", "sub", "mul", "div", "greater");
const poolOps = opSet("avgPool2d", "maxPool2d", "globalAveragePool");

const keyOf = (node: GraphNode, index: number): string => `${index}:${node.id}`;

class Tracer {
  readonly #view: GraphView;
  readonly #layer: HostLayer;
  readonly #replacement: Dims;
  /** Values of other layers, with the layer's name. */
  readonly #foreign = new Map<string, string>();
  readonly #lost = new Map<string, Lost>();
  readonly #accounted = new Set<string>();
  readonly cuts = new Map<string, ParameterCut[]>();
  readonly shifts = new Map<string, Float64Array>();
  readonly edits = new Map<string, GraphNode>();

  constructor(view: GraphView, host: Host, layer: HostLayer, replacement: Dims) {
    this.#view = view;
    this.#layer = layer;
    this.#replacement = replacement;
    for (const other of host.layers) {
      if (other === layer) continue;
      for (const value of [other.preActivation, other.output]) this.#foreign.set(value, other.name);
    }
    this.#foreign.delete(layer.preActivation);
  }

  run(units: Dims): void {
    const { preActivation } = this.#layer;
    const rank = this.#view.shape(preActivation).length;
    this.#narrow(preActivation, rank === 4 ? 1 : rank - 1, units, "unit");
    let moved = true;
    while (moved) {
      moved = false;
      for (const node of this.#view.graph.nodes) {
        const open = node.inputs.findIndex((input, index) => this.#lost.has(input) && !this.#isAccounted(node, index));
        if (open < 0) continue;
        this.#forward(node, open);
        moved = true;
      }
    }
    this.#checkReaders();
  }

  /** U1 */
  #checkReaders(): void {
    for (const value of [...this.#lost.keys(), ...this.cuts.keys()]) {
      if (this.#view.isOutput(value)) throw new UnitRefusal(`${value} is an output of the network`);
      const open = this.#view.readers(value).find(({ node, index }) => !this.#isAccounted(node, index));
      if (open !== undefined) throw new UnitRefusal(`${value} is read by ${open.node.id} too`);
    }
  }

  #isAccounted(node: GraphNode, index: number): boolean {
    return this.#accounted.has(keyOf(node, index));
  }

  #account(node: GraphNode, index: number): void {
    this.#accounted.add(keyOf(node, index));
  }

  #note(value: string, lost: Lost): void {
    this.#lost.set(value, value === this.#layer.output ? { ...lost, constants: this.#replacement } : lost);
  }

  #resize(node: NodeOf<"reshape">, axis: number, removed: number): void {
    const shape = node.attributes.shape.map((dim, at) => (at === axis && dim !== -1 ? dim - removed : dim));
    this.edits.set(node.id, { ...node, attributes: { shape } });
  }

  /** Takes entries out of a value by taking them out of what makes it. */
  #narrow(value: string, axis: number, indices: Dims, role: ParameterCut["role"]): void {
    if (this.#view.parameter(value) !== undefined) {
      const cuts = this.cuts.get(value) ?? [];
      const known = cuts.find((cut) => cut.axis === axis);
      if (known === undefined) this.cuts.set(value, [...cuts, { axis, indices, role }]);
      else if (!sameShape(known.indices, indices)) throw new UnitRefusal(`${value} is shared by several values`);
      return;
    }
    const known = this.#lost.get(value);
    if (known !== undefined) {
      if (known.axis === axis && sameShape(known.indices, indices)) return;
      throw new UnitRefusal(`${value} would lose units along two axes`);
    }
    const layer = this.#foreign.get(value);
    if (layer !== undefined) throw new UnitRefusal(`${value} would narrow the layer ${layer}, which it is joined with`); // U2
    const node = this.#view.node(value);
    if (node === undefined) throw new UnitRefusal(`${value} is an input of the network`);
    this.#note(value, { axis, indices, constants: indices.map(() => null) });
    const sources = this.#sourcesOf(node, axis, indices.length);
    if (sources === undefined) throw new UnitRefusal(`${node.op} ${node.id} makes its units in no weight of their own`);
    for (const source of sources) {
      this.#account(node, source.index);
      this.#narrow(node.inputs[source.index]!, source.axis, indices, "unit");
    }
  }

  /** Which inputs hold an axis of the node's value, and where. Undefined when the units do not come from slices of the inputs. */
  #sourcesOf(node: GraphNode, axis: number, removed: number): { index: number; axis: number }[] | undefined {
    const shape = this.#view.shape(node.id);
    if (unaryOps.has(node.op)) return [{ index: 0, axis }];
    if (poolOps.has(node.op)) return axis === 1 ? [{ index: 0, axis }] : undefined;
    if (binaryOps.has(node.op)) {
      return node.inputs.flatMap((input, index) => {
        const operand = this.#view.shape(input);
        const own = alignedAxis(axis, shape.length, operand);
        return own >= 0 && operand[own] === shape[axis] ? [{ index, axis: own }] : [];
      });
    }
    switch (node.op) {
      case "matMul":
        if (axis !== shape.length - 1 || !this.#isMatrix(node.inputs[1]!)) return undefined;
        return [{ index: 1, axis: node.attributes.transposeB ? 0 : 1 }];
      case "conv2d":
        if (axis !== 1 || node.attributes.groups !== 1 || !this.#view.isFixed(node.inputs[1]!)) return undefined;
        return [{ index: 1, axis: 0 }];
      case "batchNorm":
        return axis === 1 ? node.inputs.map((_, index) => ({ index, axis: index === 0 ? 1 : 0 })) : undefined;
      case "reshape": {
        const back = reshapedAxis(shape, axis, this.#view.shape(node.inputs[0]!));
        if (back?.block !== 1) return undefined;
        this.#resize(node, axis, removed);
        return [{ index: 0, axis: back.axis }];
      }
      case "transpose":
        return [{ index: 0, axis: node.attributes.perm[axis]! }];
      default:
        return undefined;
    }
  }

  #isMatrix(value: string): boolean {
    return this.#view.isFixed(value) && this.#view.shape(value).length === 2;
  }

  /** Lets one node go on without the units that its input `open` has lost. */
  #forward(node: GraphNode, open: number): void {
    const lost = this.#lost.get(node.inputs[open]!)!;
    this.#account(node, open);
    if (node.op === "matMul" && open === 0) this.#absorbMatrix(node, lost);
    else if (node.op === "conv2d" && open === 0 && node.attributes.groups === 1) this.#absorbConvolution(node, lost);
    else if (this.#lost.has(node.id)) throw new UnitRefusal(`${node.op} ${node.id} mixes the units with others`);
    else this.#note(node.id, this.#carry(node, open, lost));
  }

  #absorbMatrix(node: NodeOf<"matMul">, lost: Lost): void {
    const [input, weight] = [node.inputs[0]!, node.inputs[1]!];
    if (lost.axis !== this.#view.shape(input).length - 1 || node.attributes.transposeA || !this.#isMatrix(weight)) {
      throw new UnitRefusal(`matMul ${node.id} multiplies the units with another activation`);
    }
    this.#shift(node, this.#view.shape(node.id).length - 1, matrixSum(node, this.#view.fixedValue(weight), lost));
    this.#account(node, 1);
    this.#narrow(weight, node.attributes.transposeB ? 1 : 0, lost.indices, "input");
  }

  #absorbConvolution(node: NodeOf<"conv2d">, lost: Lost): void {
    const weight = node.inputs[1]!;
    if (lost.axis !== 1 || !this.#view.isFixed(weight))
      throw new UnitRefusal(`conv2d ${node.id} reads another axis than channels`);
    this.#shift(node, 1, convolutionSum(node, this.#view.fixedValue(weight), lost));
    this.#account(node, 1);
    this.#narrow(weight, 1, lost.indices, "input");
  }

  /** U3 */
  #shift(reader: GraphNode, axis: number, shift: Float64Array): void {
    if (shift.every((value) => value === 0)) return;
    const target = shiftTarget(this.#view, reader.id, axis, shift.length);
    if (target === undefined)
      throw new UnitRefusal(`${reader.op} ${reader.id} has no bias of its own to take up the units' constants`);
    const known = this.shifts.get(target.parameter);
    const added = shift.map((value, index) => (known?.[index] ?? 0) + target.sign * value);
    this.shifts.set(target.parameter, added);
  }

  /** What is lost behind a node that passes the units on. */
  #carry(node: GraphNode, open: number, lost: Lost): Lost {
    const { axis, indices, constants } = lost;
    if (unaryOps.has(node.op)) return { axis, indices, constants: constants.map((each) => applyToConstants(node, [each])) };
    if (binaryOps.has(node.op)) return this.#carryBinary(node, open, lost);
    if (poolOps.has(node.op) && axis === 1) {
      return { axis, indices, constants: node.op === "avgPool2d" ? constantsInside(constants, node.attributes.pads) : constants };
    }
    switch (node.op) {
      case "batchNorm":
        if (open === 0 && axis === 1) return this.#carryNorm(node, lost);
        break;
      case "conv2d":
        if (open === 0 && axis === 1) return this.#carryDepthwise(node, lost);
        break;
      case "reshape": {
        const to = reshapedAxis(this.#view.shape(node.inputs[0]!), axis, this.#view.shape(node.id));
        if (to === undefined) break;
        const { block } = to;
        const all = indices.flatMap((index) => Array.from({ length: block }, (_, step) => index * block + step));
        this.#resize(node, to.axis, all.length);
        return { axis: to.axis, indices: all, constants: constants.flatMap((each) => new Array<Constant>(block).fill(each)) };
      }
      case "transpose":
        return { axis: node.attributes.perm.indexOf(axis), indices, constants };
      case "reduceMean": {
        const { axes, keepDims } = node.attributes;
        if (axes.includes(axis)) break;
        return { axis: keepDims ? axis : axis - axes.filter((each) => each < axis).length, indices, constants };
      }
      case "concat": {
        const isAlone = node.inputs.filter((input) => this.#lost.has(input)).length === 1;
        if (node.attributes.axis !== axis || !isAlone) break;
        const before = node.inputs.slice(0, open).reduce((sum, input) => sum + this.#view.shape(input)[axis]!, 0);
        return { axis, indices: indices.map((index) => index + before), constants };
      }
      default:
    }
    throw new UnitRefusal(`${node.op} ${node.id} mixes the units with others`);
  }

  #carryBinary(node: GraphNode, open: number, { axis, indices, constants }: Lost): Lost {
    const shape = this.#view.shape(node.id);
    const at = axis + shape.length - this.#view.shape(node.inputs[open]!).length;
    const index = 1 - open;
    const other = node.inputs[index]!;
    const operand = this.#view.shape(other);
    const own = alignedAxis(at, shape.length, operand);
    const combine = (others: readonly Constant[]): Lost => {
      const pairs = constants.map((each, k) => (open === 0 ? [each, others[k]!] : [others[k]!, each]));
      return { axis: at, indices, constants: pairs.map((pair) => applyToConstants(node, pair)) };
    };
    const met = this.#lost.get(other);
    if (met !== undefined) {
      if (met.axis !== own || !sameShape(met.indices, indices))
        throw new UnitRefusal(`${node.op} ${node.id} joins different units`);
      this.#account(node, index);
      return combine(met.constants);
    }
    const fixed = this.#view.isFixed(other) ? this.#view.fixedValue(other).data : undefined;
    if (own < 0 || operand[own] !== shape[at]) return combine(indices.map(() => (fixed?.length === 1 ? fixed[0]! : null)));
    if (fixed === undefined && node.op !== "mul") {
      throw new UnitRefusal(`${node.op} ${node.id} joins the units with ${other}, as a residual sum does`); // U2
    }
    this.#account(node, index);
    this.#narrow(other, own, indices, "unit");
    return combine(indices.map((each) => (fixed !== undefined && fixed.length === operand[own] ? fixed[each]! : null)));
  }

  #carryNorm(node: NodeOf<"batchNorm">, { axis, indices, constants }: Lost): Lost {
    const vectors = node.inputs.slice(1).map((input, index) => {
      this.#account(node, index + 1);
      this.#narrow(input, 0, indices, "unit");
      return this.#view.fixedValue(input).data;
    });
    const normalized = indices.map((index, k) =>
      normalizeConstant(
        node,
        constants[k]!,
        vectors.map((values) => values[index]!),
      ),
    );
    return { axis, indices, constants: normalized };
  }

  /** One set of filters per channel: a channel that goes takes its filters along. */
  #carryDepthwise(node: NodeOf<"conv2d">, { axis, indices, constants }: Lost): Lost {
    const weight = node.inputs[1]!;
    const [filters, perGroup] = this.#view.shape(weight);
    const { groups } = node.attributes;
    if (perGroup !== 1 || !this.#view.isFixed(weight)) throw new UnitRefusal(`conv2d ${node.id} works in groups of channels`);
    const each = filters! / groups;
    const all = indices.flatMap((index, k) =>
      Array.from({ length: each }, (_, step) => ({ filter: index * each + step, constant: constants[k]! })),
    );
    const gone = all.map(({ filter }) => filter);
    this.edits.set(node.id, { ...node, attributes: { ...node.attributes, groups: groups - indices.length } });
    this.#account(node, 1);
    this.#narrow(weight, 0, gone, "unit");
    return { axis, indices: gone, constants: depthwiseConstants(node, this.#view.fixedValue(weight), all) };
  }
}

/**
 * What must change so that `units` of a layer are gone and each reader sees `replacement[i]` in place of `units[i]`.
 * @param units Ascending, without doubles, as many as `replacement`.
 * @throws UnitRefusal with the reason where the graph does not allow it.
 */
export const traceUnits = (
  host: Host,
  tensors: ReadonlyMap<string, Tensor>,
  layer: HostLayer,
  units: Dims,
  replacement: Dims,
): UnitTrace => {
  const tracer = new Tracer(new GraphView(host.graph, tensors), host, layer, replacement);
  tracer.run(units);
  const { cuts, shifts, edits } = tracer;
  return { cuts, shifts, edits };
};
