/** Every statechart of the program by name. */
import type { AnyStateMachine } from "xstate";
import { machines } from "../machines/catalogue.ts";
import { supervisorMachine } from "../supervision/lifecycle.ts";

export const everyMachine: Readonly<Record<string, AnyStateMachine>> = { ...machines, supervisor: supervisorMachine };
