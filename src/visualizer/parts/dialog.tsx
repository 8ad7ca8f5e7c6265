/** A modal dialog: the browser's own, so that focus stays inside and Escape closes it. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

interface DialogProps {
  readonly title: string;
  readonly open: boolean;
  readonly onClose: () => void;
  readonly wide?: boolean;
  /** Room for two fields side by side. */
  readonly form?: boolean;
  readonly children: ComponentChildren;
}

export const Dialog = ({ title, open, onClose, wide = false, form = false, children }: DialogProps) => {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (open && element.current?.open === false) element.current.showModal();
    if (!open && element.current?.open) element.current.close();
  }, [open]);
  return (
    <dialog ref={element} class={wide ? "wide" : form ? "form" : ""} aria-label={title} onClose={onClose}>
      {open ? (
        <div class="inside">
          <h2>{title}</h2>
          {children}
        </div>
      ) : null}
    </dialog>
  );
};
