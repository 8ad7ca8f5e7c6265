/** A named choice of a form: one of a list. */
interface ChoiceProps<T extends string> {
  readonly label: string;
  readonly value: T;
  readonly options: readonly (readonly [T, string])[];
  readonly onChoose: (value: T) => void;
}

export const Choice = <T extends string>({ label, value, options, onChoose }: ChoiceProps<T>) => (
  <label class="field">
    <span>{label}</span>
    <select
      class="input"
      aria-label={label}
      value={value}
      onChange={({ currentTarget }) => {
        const chosen = options.find(([each]) => each === currentTarget.value);
        if (chosen !== undefined) onChoose(chosen[0]);
      }}
    >
      {options.map(([each, words]) => (
        <option key={each} value={each}>
          {words}
        </option>
      ))}
    </select>
  </label>
);
