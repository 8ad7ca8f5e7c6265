import { createForgeLane, createTrainingLane } from "../../src/workers/piscina-lanes.ts";
import { laneContract } from "./lane.contract.ts";

laneContract(
  "piscina",
  () => createTrainingLane(),
  () => createForgeLane(),
);
