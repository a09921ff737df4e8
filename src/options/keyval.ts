/** The two `a=b,c=d` languages of the command line: `-o` option lists and `--image-opts`/`--object` descriptions. */

/** One option of a `-o` list, not interpreted yet. */
export interface OptionPair {
  readonly name: string;
  /** Text behind `=`, doubled commas undone. */
  readonly value: string;
  /** Written without `=`: `value` is then `on`, or `off` for a name that was written with `no` in front. */
  readonly bare?: boolean;
}
