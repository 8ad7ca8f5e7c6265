/** The statecharts of the program, laid out when the program was built; a part of the page of its own that is read when one is looked at. */
import { signal } from "@preact/signals";
import type { MachineDrawing } from "../../machines/drawing/index.ts";

export type Forms = typeof import("../../machines/drawing/index.ts");

export type Drawings =
  | { readonly kind: "unasked" }
  | { readonly kind: "loading" }
  | { readonly kind: "known"; readonly machines: readonly MachineDrawing[]; readonly forms: Forms }
  | { readonly kind: "failed"; readonly reason: string };

export const drawings = signal<Drawings>({ kind: "unasked" });

export const askForDrawings = async (): Promise<void> => {
  if (drawings.value.kind === "known" || drawings.value.kind === "loading") return;
  drawings.value = { kind: "loading" };
  try {
    const forms = await import("../../machines/drawing/index.ts");
    drawings.value = { kind: "known", machines: Object.values(forms.drawings), forms };
  } catch (error) {
    drawings.value = { kind: "failed", reason: error instanceof Error ? error.message : String(error) };
  }
};
