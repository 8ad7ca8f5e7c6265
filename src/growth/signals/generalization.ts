/** How much worse a host is on samples that it was not trained on. */

/** Validation loss − training loss; undefined where one of them is missing or no number. */
export const generalizationGap = (trainLoss: number | undefined, validationLoss: number | undefined): number | undefined => {
  if (trainLoss === undefined || validationLoss === undefined) return undefined;
  const gap = validationLoss - trainLoss;
  return Number.isFinite(gap) ? gap : undefined;
};
