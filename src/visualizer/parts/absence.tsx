/** What stands where there is nothing to show: what is missing, why, and what to do. */
import type { ComponentChildren } from "preact";
import { Icon, type IconName } from "./icon.tsx";

interface AbsenceProps {
  readonly icon?: IconName;
  readonly title: string;
  readonly tall?: boolean;
  readonly children?: ComponentChildren;
}

export const Absence = ({ icon = "empty", title, tall = false, children }: AbsenceProps) => (
  <div class={tall ? "absence tall" : "absence"}>
    <Icon name={icon} />
    <strong>{title}</strong>
    {children === undefined ? null : <div>{children}</div>}
  </div>
);
