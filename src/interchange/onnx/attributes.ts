/** Reads the attributes of one ONNX node, and words its errors: each names the operator and the node. */
import { GraphError } from "../../contracts/errors.ts";
import type { DecodedAttribute, DecodedNode } from "../../engine/onnx/decode.ts";

export class NodeReader {
  readonly node: DecodedNode;
  readonly #attributes: ReadonlyMap<string, DecodedAttribute>;

  constructor(node: DecodedNode) {
    this.node = node;
    this.#attributes = new Map(node.attribute.map((attribute) => [attribute.name, attribute]));
  }

  /** The node's own name, else that of its first output. */
  get name(): string {
    return this.node.name === "" ? (this.node.output[0] ?? this.node.opType) : this.node.name;
  }

  has(name: string): boolean {
    return this.#attributes.has(name);
  }

  int(name: string, otherwise: number): number {
    return this.#attributes.get(name)?.i ?? (this.has(name) ? 0 : otherwise);
  }

  float(name: string, otherwise: number): number {
    return this.#attributes.get(name)?.f ?? (this.has(name) ? 0 : otherwise);
  }

  text(name: string, otherwise: string): string {
    const bytes = this.#attributes.get(name)?.s;
    return bytes === undefined ? otherwise : new TextDecoder().decode(bytes);
  }

  ints(name: string): readonly number[] | undefined {
    return this.#attributes.get(name)?.ints;
  }

  tensor(name: string): DecodedAttribute["t"] {
    return this.#attributes.get(name)?.t;
  }

  floats(name: string): readonly number[] | undefined {
    return this.#attributes.get(name)?.floats;
  }

  /** An error that names operator and node. */
  refuse(expected: string, found: string, next: string): GraphError {
    return new GraphError(`ONNX ${this.node.opType} ${this.name}: expected ${expected}, got ${found}; ${next}`, {
      path: this.name,
    });
  }

  /** Refuses the node unless `holds`. */
  require(holds: boolean, expected: string, found: string, next = "change the model or export it another way"): void {
    if (!holds) throw this.refuse(expected, found, next);
  }
}
