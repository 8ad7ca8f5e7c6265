/** What this node says of itself as a forge, and what it asks of the forges that work for it. */
import type { NodeDescription } from "../bus/announcement.ts";
import type { EsperConfig } from "../contracts/config.ts";
import type { OrderTerms } from "../machines/task-orders.ts";
import type { ForgeIdentity } from "../policy/task-fit.ts";

/** @param engines those that work here, with the versions that they told */
export const forgeIdentityOf = (
  { services }: Pick<EsperConfig, "services">,
  engines: ForgeIdentity["engines"],
): ForgeIdentity => {
  const { nodeName, forge } = services;
  const { tags, declinesMax, clockSkewMs } = forge;
  return { node: nodeName, engines, tags, declinesMax, clockSkewMs };
};

/** What this node tells of itself to whoever looks for services. */
export const nodeDescriptionOf = ({ services }: Pick<EsperConfig, "services">): NodeDescription => {
  const { nodeName, forge } = services;
  return { node: nodeName, tags: forge.tags, costTier: forge.costTier };
};

export const orderTermsOf = ({ services }: Pick<EsperConfig, "services">): OrderTerms => {
  const { requiredTags, assignee, latencyMsMax, memoryBytesMax, tokenMsMax } = services.forge;
  return { machineTags: requiredTags, assignee, latencyMsMax, memoryBytesMax, bytesMax: services.assetBytesMax, tokenMsMax };
};
