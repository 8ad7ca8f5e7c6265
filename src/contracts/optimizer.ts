/** How parameters are updated. Part of the config and of a compiled step's identity. */
import { z } from "zod";

export const OptimizerConfig = z.discriminatedUnion("kind", [
  /** v ← momentum·v + g; p ← p − lr·v (with weight decay added to g). */
  z.strictObject({
    kind: z.literal("sgd"),
    learningRate: z.number().positive().default(0.1).describe("Step size."),
    momentum: z.number().min(0).lt(1).default(0.9).describe("Part of the velocity that is kept from step to step."),
    weightDecay: z.number().min(0).default(0).describe("Weight decay, added to the gradient."),
    clipNorm: z.number().min(0).default(0).describe("Largest global norm over all trainable gradients; 0 turns clipping off."),
  }),
  /** Kingma & Ba (2015), with L2 weight decay added to the gradient. */
  z.strictObject({
    kind: z.literal("adam"),
    learningRate: z.number().positive().default(0.001).describe("Step size."),
    beta1: z.number().min(0).lt(1).default(0.9).describe("Decay of the first moment."),
    beta2: z.number().min(0).lt(1).default(0.999).describe("Decay of the second moment."),
    epsilon: z.number().positive().default(1e-8).describe("Added to the root of the second moment."),
    weightDecay: z.number().min(0).default(0).describe("Weight decay, added to the gradient."),
    clipNorm: z.number().min(0).default(0).describe("Largest global norm over all trainable gradients; 0 turns clipping off."),
  }),
  /** Loshchilov & Hutter (2019): weight decay apart from the gradient. */
  z.strictObject({
    kind: z.literal("adamw"),
    learningRate: z.number().positive().default(0.001).describe("Step size."),
    beta1: z.number().min(0).lt(1).default(0.9).describe("Decay of the first moment."),
    beta2: z.number().min(0).lt(1).default(0.999).describe("Decay of the second moment."),
    epsilon: z.number().positive().default(1e-8).describe("Added to the root of the second moment."),
    weightDecay: z.number().min(0).default(0.01).describe("Weight decay, apart from the gradient."),
    clipNorm: z.number().min(0).default(0).describe("Largest global norm over all trainable gradients; 0 turns clipping off."),
  }),
]);
export type OptimizerConfig = z.infer<typeof OptimizerConfig>;
