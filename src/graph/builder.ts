/** Writes a graph by hand: hosts and blueprints. The batch stays -1; types are checked when the graph is bound. */
import type {
  DType,
  Graph,
  GraphInput,
  GraphNode,
  GraphOutput,
  Initializer,
  OpAttributes,
  OpName,
  Parameter,
  Shape,
} from "../contracts/graph.ts";

export interface ParameterOptions {
  /** Default true. */
  readonly trainable?: boolean;
  /** Default: the builder's cohort. */
  readonly cohort?: string;
}

export class GraphBuilder {
  readonly #cohort: string;
  readonly #inputs: GraphInput[] = [];
  readonly #parameters: Parameter[] = [];
  readonly #nodes: GraphNode[] = [];
  readonly #outputs: GraphOutput[] = [];
  readonly #names = new Set<string>();

  constructor(cohort = "host") {
    this.#cohort = cohort;
  }

  input(name: string, shape: Shape, dtype: DType = "float32"): string {
    this.#inputs.push({ name, dtype, shape });
    this.#names.add(name);
    return name;
  }

  parameter(name: string, shape: readonly number[], initializer: Initializer, options: ParameterOptions = {}): string {
    const { trainable = true, cohort = this.#cohort } = options;
    this.#parameters.push({ name, shape: [...shape], initializer, trainable, cohort });
    this.#names.add(name);
    return name;
  }

  /** Adds a node and returns its value. Without an id it gets the operator's name, numbered when that is taken. */
  op<O extends OpName>(op: O, inputs: readonly string[], attributes: OpAttributes<O>, id?: string): string {
    const name = id ?? this.#fresh(op);
    this.#names.add(name);
    this.#nodes.push({ id: name, op, inputs, attributes } as GraphNode);
    return name;
  }

  output(name: string, value: string): void {
    this.#outputs.push({ name, value });
  }

  build(): Graph {
    return { inputs: [...this.#inputs], parameters: [...this.#parameters], nodes: [...this.#nodes], outputs: [...this.#outputs] };
  }

  #fresh(stem: string): string {
    let name = stem;
    for (let n = 2; this.#names.has(name); n++) name = `${stem}${n}`;
    return name;
  }
}
